"""Home Assistant's MQTT discovery: the retained messages that make it list this device by itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ..board import THROTTLED_BITS, BoardState
from ..labels import EMOTIONS

NO_FACE = "none"
"""State of the dominant expression while no face is in view."""
EXPIRE_AFTER_S = 30
"""Without a frame for so long the sensors are unavailable: the camera is gone, though the program runs."""
GONE = "dropped"
"""Key of a sensor that earlier versions had."""
UNDER_VOLTAGE = THROTTLED_BITS[0]


def discovery(
    node: str, topic: str, labels: Sequence[str], board: BoardState, prefix: str = "homeassistant"
) -> dict[str, str]:
    """Topic → JSON payload, one sensor each (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).

    Sensors: faces, dominant expression, one probability a label, and for diagnosis the frame rate and what this board
    tells of its heat and power. The keys of the payload are Home Assistant's own. An empty payload takes away a sensor
    that an earlier run may have left: of an emotion that is not among the labels, or of an earlier version.
    """
    sensors: dict[str, dict[str, Any]] = {
        "faces": {
            "name": "Faces",
            "icon": "mdi:face-recognition",
            "state_class": "measurement",
            "value_template": "{{ value_json.faces }}",
        },
        "expression": {
            "name": "Apparent expression",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": [*labels, NO_FACE],
            "value_template": "{{ value_json.dominant }}",
        },
        **{f"probability_{_slug(label)}": _probability(label) for label in labels},
        "frame_rate": {
            "name": "Frame rate",
            "icon": "mdi:speedometer",
            "state_class": "measurement",
            "unit_of_measurement": "fps",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.frames_per_s }}",
        },
    }
    problems: dict[str, dict[str, Any]] = {}
    if board.temperature_c is not None:
        sensors["temperature"] = {
            "name": "Temperature",
            "device_class": "temperature",
            "state_class": "measurement",
            "unit_of_measurement": "°C",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.board.temperature_c }}",
        }
    if board.throttled is not None:
        problems["under_voltage"] = _problem("Under-voltage", f"'{UNDER_VOLTAGE}' in wrong")
        problems["slowed_down"] = _problem("Slowed down", f"wrong | reject('eq', '{UNDER_VOLTAGE}') | list")
    common: Mapping[str, Any] = {
        "state_topic": f"{topic}/state",
        "availability_topic": f"{topic}/status",
        "expire_after": EXPIRE_AFTER_S,
        "device": {"identifiers": [f"edge_emotion_{node}"], "name": f"edge-emotion {node}", "model": "edge-emotion"},
        "origin": {"name": "edge-emotion", "sw_version": version("edge-emotion")},
    }
    made = {
        _topic(prefix, component, node, key): json.dumps(
            {**entity, "unique_id": f"edge_emotion_{node}_{key}", **common}, separators=(",", ":")
        )
        for component, entities in (("sensor", sensors), ("binary_sensor", problems))
        for key, entity in entities.items()
    }
    earlier = [*(f"probability_{emotion}" for emotion in EMOTIONS), GONE]
    return {_topic(prefix, "sensor", node, key): "" for key in earlier} | made


def _topic(prefix: str, component: str, node: str, key: str) -> str:
    return f"{prefix}/{component}/edge_emotion_{node}/{key}/config"


def _problem(name: str, condition: str) -> dict[str, Any]:
    """A binary sensor that is on where the condition holds of `wrong`, what the board says is wrong now."""
    # `None` is what Home Assistant takes for "unknown": this time the firmware did not answer.
    value = f"None if wrong is none else 'ON' if {condition} else 'OFF'"
    return {
        "name": name,
        "device_class": "problem",
        "entity_category": "diagnostic",
        "value_template": f"{{% set wrong = value_json.board.throttled %}}{{{{ {value} }}}}",
    }


def _probability(label: str) -> dict[str, Any]:
    # `None` is what Home Assistant takes for "unknown": without a face, or with other labels, there is no probability.
    # Jinja reads no surrogate pairs, which JSON would make of an emoji in ASCII.
    value = f"value_json.probabilities.get({json.dumps(label, ensure_ascii=False)})"
    return {
        "name": f"Apparently {label}",
        "icon": "mdi:percent-outline",
        "state_class": "measurement",
        "unit_of_measurement": "%",
        "value_template": f"{{% set p = {value} %}}{{{{ None if p is none else (100 * p) | round(1) }}}}",
    }


def _slug(label: str) -> str:
    """The label in characters of a topic, another one for each label.

    >>> _slug("happy"), _slug("快乐")
    ('happy', '___9455d49a')
    """
    slug = "".join(c if c.isascii() and c.isalnum() else "_" for c in label.lower())
    return slug if slug == label else f"{slug}_{zlib.crc32(label.encode()):08x}"
