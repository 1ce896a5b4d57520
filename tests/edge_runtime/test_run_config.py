import re
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.run_config import RunConfig, parse_detect_every, parse_size
from hypothesis import given
from hypothesis import strategies as st


def test_a_source_is_enough() -> None:
    config = RunConfig("0")
    assert config.model == "edge-m"
    assert config.detector == "auto"
    assert config.smoothing.half_life_s == 0.5
    assert config.is_live
    assert not RunConfig("clip.mp4").is_live


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": ""}, "--source is empty"),
        ({"detect_every": 0}, "--detect-every"),
        ({"detect_every": "3"}, "detect_every is a number of frames"),
        ({"classes": "angry,happy"}, r"classes is a tuple .* got .angry,happy."),
        ({"size": "640x480"}, r"size is \(width, height\), .* got .640x480."),
        ({"max_frames": 0}, "--max-frames"),
        ({"max_frames": 2.5}, "max_frames is a whole number, got 2.5"),
        ({"threads": "2"}, "threads is a whole number, got '2'"),
        ({"half_life": "x"}, "half_life is a number, got 'x'"),
        ({"threads": 0}, "--threads"),
        ({"size": (8, 480)}, "--size"),
        ({"fps": 0.0}, "--fps"),
        ({"fps": float("nan")}, "--fps"),
        ({"rotate_mb": -1.0}, "--rotate-mb"),
        ({"rotate_mb": float("inf")}, "--rotate-mb"),
        ({"keep": 0}, "--keep"),
        ({"jsonl": "-", "csv": "-"}, "--jsonl and --csv cannot share -"),
        ({"jsonl": "a.out", "csv": "./b/../a.out"}, "--jsonl and --csv cannot share"),
        ({"jsonl": "x.avi", "video": "x.avi"}, "--jsonl and --video cannot share x.avi"),
        ({"source": "talk.avi", "video": "./talk.avi"}, "--source and --video cannot share"),
        ({"source": "talk.avi", "csv": "talk.avi"}, "--source and --csv cannot share"),
        ({"model": "m.tflite", "jsonl": "m.tflite"}, "--model and --jsonl cannot share"),
        ({"half_life": -1.0}, "half-life"),
        ({"settle": 0.3, "unsettle": 0.4}, "settle"),
        ({"aggregate": 0.9, "jsonl": "x"}, "--aggregate must be 1 to 86400 seconds, got 0.9"),
        ({"aggregate": 5.0}, "--aggregate needs somewhere"),
        ({"aggregate": 5.0, "jsonl": "x", "show": True}, "leave out --video, --show"),
        ({"aggregate": 5.0, "csv": "x", "video": "x.avi"}, "leave out --video, --show"),
        ({"aggregate": 5.0, "csv": "x", "mqtt": "mqtt://broker"}, "leave out --video, --show"),
        ({"aggregate": 5.0, "csv": "x", "web": "8080"}, "leave out --video, --show"),
        ({"web_token": "a-token-of-this-test"}, "belong to the page: add --web"),
        ({"frames": False}, "belong to the page: add --web"),
        ({"rotate_mb": 5.0}, "--rotate-mb belongs to a file"),
        ({"rotate_mb": 5.0, "jsonl": "-"}, "--rotate-mb belongs to a file"),
        ({"keep": 3, "jsonl": "x"}, "add --rotate-mb MB"),
        ({"mqtt_ca": Path("ca")}, "belong to a broker"),
        ({"mqtt_password_file": Path("pw")}, "belong to a broker"),
    ],
)
def test_values_out_of_range_and_contradictions_are_wrong_options(values: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        RunConfig(**{"source": "0", **values})


def test_the_token_of_the_page_is_not_shown() -> None:
    assert "a-token-of-this-test" not in repr(RunConfig("0", web="8080", web_token="a-token-of-this-test"))


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "link.avi").symlink_to(tmp_path / "talk.avi")
    with pytest.raises(OptionError, match="--source and --video cannot share"):
        RunConfig(str(tmp_path / "talk.avi"), video=str(tmp_path / "link.avi"))
    RunConfig("0", csv="0")  # a camera is no file


def test_a_leading_tilde_of_any_path_is_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    typed: dict[str, Any] = {name: "~/x" for name in ("jsonl", "csv", "video", "model", "source")}
    typed = {name: f"{path}/{name}" for name, path in typed.items()}
    typed |= {"mqtt": "mqtt://host", "mqtt_ca": Path("~/ca"), "mqtt_password_file": "~/pw"}
    rest = {"classes": None, "size": None, "detect_every": "auto", "input_spec": None, "no_frames": False}
    config = RunConfig.from_options(**typed, **rest, detector="yunet:~/yunet.onnx")  # type: ignore[arg-type]
    for name in ("jsonl", "csv", "video", "model", "source"):
        assert getattr(config, name) == f"{tmp_path}/x/{name}"
    assert (config.mqtt_ca, config.mqtt_password_file) == (tmp_path / "ca", tmp_path / "pw")
    assert config.detector == f"yunet:{tmp_path}/yunet.onnx"
    as_they_are = {"source": "rtsp://host/~me/live", "jsonl": "-", "csv": "a~/b", "model": "edge-m", "detector": "haar"}
    config = RunConfig.from_options(**as_they_are, **rest)  # type: ignore[arg-type]
    assert {name: getattr(config, name) for name in as_they_are} == as_they_are


def test_labels_are_those_that_results_will_have() -> None:
    model = str(Path(__file__).parents[1] / "models" / "brightness-int8.tflite")
    assert RunConfig("0", model).labels_in_order == ("dark", "grey", "bright")
    assert RunConfig("0", model, labels="Night,Dusk,Day").labels_in_order == ("Night", "Dusk", "Day")
    renamed = RunConfig("0", model, labels="Night,Dusk,Day", classes=("day", "night"))
    assert renamed.labels_in_order == ("Day", "Night")


@given(st.integers(0, 99999), st.integers(0, 99999))
def test_sizes_are_read_as_they_are_written(width: int, height: int) -> None:
    assert parse_size(f"{width}x{height}") == (width, height)
    assert parse_size(f"{width}X{height}") == (width, height)


@given(st.text(max_size=12))
def test_any_other_text_is_a_wrong_option(text: str) -> None:
    if not re.fullmatch(r"\d+x\d+", text, re.IGNORECASE):
        with pytest.raises(OptionError, match="640x480"):
            parse_size(text)
    if text != "auto" and not text.isdecimal():
        with pytest.raises(OptionError, match="or auto"):
            parse_detect_every(text)


def test_how_often_to_search() -> None:
    assert parse_detect_every("auto") == "auto"
    assert parse_detect_every("3") == 3
    assert parse_size(None) is None
