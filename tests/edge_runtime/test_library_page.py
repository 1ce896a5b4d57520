"""The examples of docs/library.md on the tests' own model and pictures, a video of faces in place of the camera."""

import re
import subprocess
import sys
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


OPENCVS_OWN = """
import cv2
from edge_emotion.edge_runtime import EmotionClassifier
from edge_emotion.edge_runtime.faces import crop, open_detector

taken, frame = cv2.VideoCapture(0).read()
with EmotionClassifier("edge-m") as classifier, open_detector("haar") as detector:
    for face in detector.detect(frame):
        classifier.predict(crop(frame, face, 0.1))
"""


@pytest.mark.tree
def test_examples_and_opencvs_own_pictures_have_the_right_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs the dev extra")
    readme = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    for number, example in enumerate([*EXAMPLES, *readme, OPENCVS_OWN]):
        (tmp_path / f"example_{number}.py").write_text(example, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", *map(str, tmp_path.glob("*.py"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
