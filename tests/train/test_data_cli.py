import builtins
import json
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 48), dtype=np.uint8)


def put(root: Path, name: str, image: np.ndarray) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


@pytest.fixture
def crafted(tmp_path: Path) -> Path:
    """Every finding, in known numbers."""
    root = tmp_path / "crafted"
    for i in range(4):
        put(root, f"train/happy/{i}.png", noise(i))
        put(root, f"train/sad/{i}.png", noise(10 + i))
    put(root, "train/happy/repeat1.png", noise(0))
    put(root, "train/happy/repeat2.png", noise(0))
    put(root, "train/sad/conflict.png", noise(1))  # with train/happy/1.png
    put(root, "train/sad/blank.png", np.full((48, 48), 90, np.uint8))
    (root / "train/sad/text.jpg").write_text("not an image")
    jpeg = cv2.imencode(".jpg", noise(30))[1].tobytes()
    (root / "train/sad/cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    put(root, "validation/happy/0.png", noise(40))
    put(root, "validation/happy/leak.png", noise(2))
    put(root, "validation/sad/0.png", noise(41))
    put(root, "test/happy/0.png", noise(50))
    put(root, "test/sad/leak.png", noise(41))
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_check_counts_everything(run: Run, crafted: Path, tmp_path: Path, zipped: bool) -> None:
    if zipped:
        crafted = Path(shutil.make_archive(str(tmp_path / "crafted"), "zip", crafted))
    code, out, _ = run("data", "check", crafted, "--json")
    assert code == 0
    document = json.loads(out)
    assert document["schema_version"] == 1
    train = document["splits"]["train"]
    assert train["counts"] == {"happy": 6, "sad": 6}
    assert train["repeats"] == {"n": 2, "files": ["train/happy/repeat1.png", "train/happy/repeat2.png"]}
    assert train["conflicts"] == {"n": 2, "files": ["train/happy/1.png", "train/sad/conflict.png"]}
    assert train["blank"] == {"n": 1, "files": ["train/sad/blank.png"]}
    assert train["unreadable"] == {"n": 2, "files": ["train/sad/cut.jpg", "train/sad/text.jpg"]}
    leaks = {(leak["split"], leak["other"]): leak["files"] for leak in document["leaks"]}
    assert leaks == {
        ("train", "validation"): ["train/happy/2.png"],
        ("train", "test"): [],
        ("validation", "test"): ["validation/sad/0.png"],
    }


def test_check_says_it_in_words(run: Run, crafted: Path) -> None:
    (crafted / "validation" / "sad" / "0.png").unlink()
    code, out, err = run("data", "check", crafted)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["images", "train", "validation", "test"] in lines
    assert ["unreadable", "2", "0", "0"] in lines
    assert ["repeats", "2", "0", "0"] in lines
    assert "1 train images are in validation too" in out
    assert "empty: validation has no image of sad" in out
    assert "unreadable: train/sad/text.jpg" in out
    assert "Traceback" not in err


def test_check_of_a_clean_dataset(run: Run, drawn_faces: Path) -> None:
    document = json.loads(run("data", "check", drawn_faces, "--json")[1])
    for split in document["splits"].values():
        assert [split[name]["n"] for name in ("unreadable", "blank", "repeats", "conflicts")] == [0, 0, 0, 0]
    assert [leak["n"] for leak in document["leaks"]] == [0]


def test_check_says_what_is_not_used(run: Run, crafted: Path) -> None:
    for number in range(30):
        (crafted / f"train/happy/{number}.HEIC").touch()
    put(crafted, "train/sad/more/1.png", noise(60))
    assert "not used: 30 .heic files, 1 image in train/sad/more/\n" in run("data", "check", crafted)[1]
    unused = json.loads(run("data", "check", crafted, "--json")[1])["unused"]
    assert unused["n"] == len(unused["files"]) == 31
    assert "train/sad/more/1.png" in unused["files"]


def test_check_of_a_pool_says_that_validation_was_made(run: Run, drawn_faces: Path) -> None:
    assert "validation made from the one pool" in run("data", "check", drawn_faces / "train")[1]


def test_check_of_what_is_no_dataset(run: Run, tmp_path: Path, drawn_faces: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    one = tmp_path / "one"
    shutil.copytree(drawn_faces / "train" / "happy", one / "train" / "happy")
    for path, words in (
        ("missing", "does not exist"),
        ("empty", "no images in class folders"),
        ("file.txt", "neither a folder nor a readable zip"),
        ("one", "one class only (happy)"),
    ):
        code, out, err = run("data", "check", tmp_path / path)
        assert (code, out) == (1, "")
        assert words in err
        assert err.count("\n") == 1


@pytest.fixture
def kagglehub(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for kagglehub; a test sets `dataset_download`."""
    module = types.ModuleType("kagglehub")
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def test_fetch_says_where_the_images_are(run: Run, kagglehub: Any, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def download(handle: str, *, output_dir: str) -> str:
        print("Downloading …")  # as kagglehub does: it must not reach stdout
        asked.append((handle, output_dir))
        return output_dir

    kagglehub.dataset_download = download
    code, out, _ = run("data", "fetch", tmp_path / "faces", "--json")
    assert code == 0
    assert json.loads(out)["path"] == str(tmp_path / "faces")
    assert asked == [("jonathanoheix/face-expression-recognition-dataset", str(tmp_path / "faces"))]
    assert "data check" in run("data", "fetch", tmp_path / "faces")[1]


class CredentialError(Exception):
    """Named like kagglehub's."""


class ConnectTimeout(OSError):
    """Named like that of requests."""


class HTTPError(OSError):
    def __init__(self, status: int) -> None:
        super().__init__(f"{status} Client Error.\n\na page of text")
        self.response = types.SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CredentialError("no"), "make a token at https://www.kaggle.com/settings"),
        (HTTPError(401), "make a token"),
        (HTTPError(403), "make a token"),
        (HTTPError(404), "no such dataset"),
        (HTTPError(500), "500 Client Error. a page of text"),
        (ConnectTimeout("…"), "no connection to kaggle.com"),
        (ConnectionError("…"), "no connection to kaggle.com"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_fetch_failures_are_one_clear_line(
    run: Run, kagglehub: Any, tmp_path: Path, error: Exception, words: str
) -> None:
    def download(handle: str, *, output_dir: str) -> str:
        raise error

    kagglehub.dataset_download = download
    code, out, err = run("data", "fetch", tmp_path / "faces")
    assert (code, out) == (1, "")
    assert words in err
    assert err.count("\n") == 1


def test_fetch_does_not_touch_a_folder_in_use(run: Run, kagglehub: Any, drawn_faces: Path, tmp_path: Path) -> None:
    code, _, err = run("data", "fetch", drawn_faces)
    assert code == 1
    assert "not an empty folder" in err


def test_fetch_without_kagglehub_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "kagglehub":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = run("data", "fetch", tmp_path / "faces")
    assert code == 1
    assert "pip install '.[train]' in your clone" in err
