from __future__ import annotations

import json
import re
from typing import Any

import pytest
from edge_emotion.edge_runtime.board import BoardState
from edge_emotion.edge_runtime.labels import EMOTIONS
from edge_emotion.edge_runtime.outputs.mqtt_discovery import discovery

SILENT = BoardState()
LABELS = ("angry", "very happy", "neutral")


@pytest.fixture
def sensors() -> dict[str, dict[str, Any]]:
    return {
        topic: json.loads(payload)
        for topic, payload in discovery("pi-5", "house/door", LABELS, SILENT).items()
        if payload
    }


def test_topics_and_ids_are_what_home_assistant_accepts(sensors: dict[str, dict[str, Any]]) -> None:
    assert len(sensors) == 2 + len(LABELS) + 1
    for topic in sensors:
        assert re.fullmatch(r"homeassistant/sensor/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
    ids = [sensor["unique_id"] for sensor in sensors.values()]
    assert len(set(ids)) == len(ids)
    for sensor in sensors.values():
        assert sensor["state_topic"] == "house/door/state"
        assert sensor["availability_topic"] == "house/door/status"
        assert sensor["device"]["identifiers"] == ["edge_emotion_pi-5"]
        assert sensor["expire_after"] == 30  # a camera that is gone leaves no last state for ever


@pytest.mark.parametrize("labels", [("快乐", "悲伤", "愤怒"), ("a b", "a-b", "a_b"), ("Happy", "happy", "mürrisch")])
def test_each_label_has_a_sensor_of_its_own(labels: tuple[str, ...]) -> None:
    found = {topic: payload for topic, payload in discovery("pi", "t", labels, SILENT).items() if payload}
    assert len(found) == 2 + len(labels) + 1
    assert len({json.loads(payload)["unique_id"] for payload in found.values()}) == len(found)
    assert all(re.fullmatch(r"homeassistant/sensor/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic) for topic in found)


def test_the_sensor_of_a_plain_label_is_named_by_it() -> None:
    assert "homeassistant/sensor/edge_emotion_pi/probability_happy/config" in discovery(
        "pi", "t", ("happy", "sad"), SILENT
    )


def test_sensors_of_other_emotions_and_of_earlier_versions_are_taken_away() -> None:
    found = discovery("pi", "t", ("angry", "happy", "calm"), SILENT)
    gone = [topic.split("/")[3] for topic, payload in found.items() if not payload]
    others = [f"probability_{emotion}" for emotion in ("disgust", "fear", "neutral", "sad", "surprise")]
    assert gone == [*others, "dropped"]
    empty = [topic for topic, payload in discovery("pi", "t", EMOTIONS, SILENT).items() if not payload]
    assert empty == ["homeassistant/sensor/edge_emotion_pi/dropped/config"]


@pytest.mark.parametrize("label", ["\N{GRINNING FACE}", 'so "happy"', "快乐", "back\\slash"])
def test_a_template_finds_any_label(label: str) -> None:
    environment = pytest.importorskip("jinja2", reason="renders Home Assistant's templates").Environment()
    found = (json.loads(payload) for payload in discovery("pi", "t", (label,), SILENT).values() if payload)
    template = next(sensor["value_template"] for sensor in found if sensor["name"] == f"Apparently {label}")
    assert environment.from_string(template).render(value_json={"probabilities": {label: 0.5}}) == "50.0"


def test_templates_give_what_the_state_holds(sensors: dict[str, dict[str, Any]]) -> None:
    environment = pytest.importorskip("jinja2", reason="renders Home Assistant's templates").Environment()
    seen = {
        "faces": 1,
        "dominant": "very happy",
        "probabilities": {"angry": 0.1, "very happy": 0.8249, "neutral": 0.0751},
        "frames_per_s": 24.5,
    }
    nobody = {**seen, "faces": 0, "dominant": "none", "probabilities": {}}

    def shown(state: dict[str, Any]) -> dict[str, str]:
        return {
            sensor["name"]: environment.from_string(sensor["value_template"]).render(value_json=state)
            for sensor in sensors.values()
        }

    assert shown(seen) == {
        "Faces": "1",
        "Apparent expression": "very happy",
        "Apparently angry": "10.0",
        "Apparently very happy": "82.5",
        "Apparently neutral": "7.5",
        "Frame rate": "24.5",
    }
    assert shown(nobody)["Apparently angry"] == "None"  # Home Assistant's "unknown"
    assert shown({**seen, "probabilities": {"calm": 1.0}})["Apparently angry"] == "None"  # a run with other labels
    assert shown({**seen, "probabilities": {"angry": 0.0}})["Apparently angry"] == "0.0"
    options = next(s["options"] for s in sensors.values() if s["name"] == "Apparent expression")
    assert {shown(seen)["Apparent expression"], shown(nobody)["Apparent expression"]} <= set(options)


@pytest.mark.parametrize(
    ("board", "sensors"),
    [
        (BoardState(temperature_c=0.0), {"sensor/temperature"}),
        (BoardState(throttled=()), {"binary_sensor/under_voltage", "binary_sensor/slowed_down"}),
        (
            BoardState(temperature_c=61.3, throttled=("throttled",)),
            {"sensor/temperature", "binary_sensor/under_voltage", "binary_sensor/slowed_down"},
        ),
    ],
)
def test_a_board_has_sensors_of_what_it_tells(board: BoardState, sensors: set[str]) -> None:
    more = discovery("pi", "t", EMOTIONS, board).keys() - discovery("pi", "t", EMOTIONS, SILENT).keys()
    assert {"/".join(topic.split("/")[1:4:2]) for topic in more} == sensors
    assert all(topic.startswith("homeassistant/") and topic.endswith("/config") for topic in more)


@pytest.mark.parametrize(
    ("throttled", "under_voltage", "slowed_down"),
    [
        ([], "OFF", "OFF"),
        (["under-voltage"], "ON", "OFF"),
        (["frequency capped", "soft temperature limit"], "OFF", "ON"),
        (["under-voltage", "throttled"], "ON", "ON"),
        (None, "None", "None"),  # Home Assistant's "unknown": the firmware did not answer
    ],
)
def test_templates_tell_the_board(throttled: list[str] | None, under_voltage: str, slowed_down: str) -> None:
    environment = pytest.importorskip("jinja2", reason="renders Home Assistant's templates").Environment()
    board = BoardState(temperature_c=61.3, throttled=())
    found = (json.loads(payload) for payload in discovery("pi", "t", ("happy",), board).values() if payload)
    state = {"board": {"temperature_c": 61.3, "throttled": throttled}}
    shown = {
        sensor["name"]: environment.from_string(sensor["value_template"]).render(value_json=state)
        for sensor in found
        if "value_json.board" in sensor["value_template"]
    }
    assert shown == {"Temperature": "61.3", "Under-voltage": under_voltage, "Slowed down": slowed_down}
