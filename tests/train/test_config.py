import json
from typing import Any

import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset


@pytest.mark.parametrize("limit", [None, (400, 160), (400, None)])
def test_recorded_settings_read_back_equal(limit: tuple[int, int | None] | None) -> None:
    config = TrainConfig(get_preset("seed"), ("angry", "happy"), 3, "mixed_bfloat16", limit)
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    "document", [{}, {"preset": get_preset("tiny").to_json()}, {"preset": {}, "classes": [], "limit": None}]
)
def test_malformed_settings_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="malformed"):
        TrainConfig.from_json(document)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionError, match="mixed_bfloat16"):
        TrainConfig(get_preset("tiny"), ("a", "b"), precision="int4")
