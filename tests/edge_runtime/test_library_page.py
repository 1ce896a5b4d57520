"""The examples of docs/library.md on the tests' own model and pictures, a video of faces in place of the camera."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import zoo

from .pan_zoom import write

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `face.png` is a face, `0` a camera (a video, here) and `edge-m` bundled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    model = ROOT / "tests" / "models" / "brightness-int8.tflite"
    monkeypatch.setattr(zoo, "bundled_models", lambda: {"edge-m": model})
    for name in ("face.png", "photo.png"):
        cv2.imwrite(name, np.zeros((90, 90, 3), np.uint8))
    write(tmp_path / "camera.avi", (np.zeros((96, 96, 3), np.uint8) for _ in range(120)))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    program = example.replace('("0", ', '("camera.avi", detector="none", ')
    exec(compile(program, "docs/library.md", "exec"), {"__name__": "example"})
    out = capsys.readouterr().out
    if "prediction.label" in example:
        assert out.splitlines()[0].startswith("dark 0.")
        assert len(out.splitlines()) == 4
    if "pipeline.stop()" in example:
        assert len(out.splitlines()) == 101
        assert out.splitlines()[-1].endswith("steady")
