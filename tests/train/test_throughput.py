import json
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.train import throughput

pytestmark = pytest.mark.train


def test_the_three_rates(
    drawn_faces: Path, keras: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "MIN_SECONDS", 0.0)
    throughput.throughput(drawn_faces, "tiny", as_json=True)
    rates = json.loads(capsys.readouterr().out)["images_per_s"]
    assert set(rates) == {"batches", "augmented batches", "training step"}
    assert all(rate > 0 for rate in rates.values())


def test_a_rate_counts_calls_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], [0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    def act() -> None:
        calls[0] += 1
        clock[0] += 0.5

    assert throughput._rate(act) == 2.0
    assert calls[0] == 2 + 6  # two to warm up, then three seconds of half a second each
