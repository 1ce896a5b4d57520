"""Home Assistant's MQTT discovery: the retained messages that make it list this device by itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from ..labels import EMOTIONS

NO_FACE = "none"
"""State of the dominant expression while no face is in view."""
EXPIRE_AFTER_S = 30
"""Without a frame for so long the sensors are unavailable: the camera is gone, though the program runs."""
GONE = "dropped"
"""Key of a sensor that earlier versions had."""


def discovery(node: str, topic: str, labels: Sequence[str], prefix: str = "homeassistant") -> dict[str, str]:
    """Topic → JSON payload, one sensor each (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery).

    Sensors: faces, dominant expression, one probability a label, and for diagnosis the frame rate. The keys of the
    payload are Home Assistant's own. An empty payload takes away a sensor that an earlier run may have left: of an
    emotion that is not among the labels, or of an earlier version.
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
    common: Mapping[str, Any] = {
        "state_topic": f"{topic}/state",
        "availability_topic": f"{topic}/status",
        "expire_after": EXPIRE_AFTER_S,
        "device": {"identifiers": [f"edge_emotion_{node}"], "name": f"edge-emotion {node}", "model": "edge-emotion"},
        "origin": {"name": "edge-emotion", "sw_version": version("edge-emotion")},
    }
    payloads = (
        {f"probability_{emotion}": "" for emotion in EMOTIONS}
        | {GONE: ""}
        | {
            key: json.dumps({**sensor, "unique_id": f"edge_emotion_{node}_{key}", **common}, separators=(",", ":"))
            for key, sensor in sensors.items()
        }
    )
    return {f"{prefix}/sensor/edge_emotion_{node}/{key}/config": payload for key, payload in payloads.items()}


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
