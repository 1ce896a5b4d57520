import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import preprocess
from edge_emotion.edge_runtime.preprocess import Image

ROOT = Path(__file__).parents[2]
INT8 = ROOT / "tests" / "models" / "brightness-int8.tflite"
Run = Callable[..., tuple[int, str, str]]


def draw(path: Path, level: int = 10) -> Path:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((60, 80), level, np.uint8))
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return draw(tmp_path / "dark.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three pictures: bright, dark, dark."""
    for name, level in (("c.png", 10), ("a.png", 250), ("b.JPG", 10)):
        draw(tmp_path / "pictures" / name, level)
    return tmp_path / "pictures"


def test_predict_prints_each_class_with_its_percentage(run: Run, picture: Path) -> None:
    code, out, _ = run("predict", picture, "--no-detect", "--model", INT8)
    assert code == 0
    assert "1 face" in out
    for label in ("dark", "grey", "bright"):
        assert label in out
    assert "%" in out


def test_predict_json_has_the_contracts_keys(run: Run, picture: Path) -> None:
    code, out, _ = run("predict", picture, "--no-detect", "--json", "--model", INT8, "--classes", "bright,dark")
    assert code == 0
    (document,) = json.loads(out)
    assert set(document) == {"image", "faces"}
    (face,) = document["faces"]
    assert face["label"] == "dark"
    assert face["box_xywh"] == [0, 0, 80, 60]
    assert list(face["probabilities"]) == ["bright", "dark"]
    assert face["confidence"] == max(face["probabilities"].values())


def test_predict_without_a_face_says_so(run: Run, picture: Path) -> None:
    code, out, _ = run("predict", picture, "--model", INT8, "--detector", "haar")
    assert code == 0
    assert "0 faces" in out
    assert "--no-detect" in out


def test_predict_saves_an_annotated_copy(run: Run, picture: Path, tmp_path: Path) -> None:
    assert run("predict", picture, "--no-detect", "--model", INT8, "--save", tmp_path / "out.png")[0] == 0
    drawn = cv2.imread(str(tmp_path / "out.png"))
    assert drawn is not None
    assert drawn.shape == (60, 80, 3)
    assert (drawn != 10).any()
    for name in ("out.doc", "out.pgm"):
        code, out, err = run("predict", picture, "--no-detect", "--model", INT8, "--save", tmp_path / name)
        assert (code, out) == (2, "")
        assert "use .jpg or .png" in err
    other = draw(tmp_path / "other.png")
    code, _, err = run("predict", picture, other, "--no-detect", "--model", INT8, "--save", tmp_path / "one.png")
    assert code == 2
    assert "name a folder" in err


def test_predict_saves_to_a_folder_whose_name_has_a_dot_and_overwrites_no_copy(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "out.v2").mkdir()
    (tmp_path / "b").mkdir()
    other = Path(shutil.copy(picture, tmp_path / "b" / "light.png"))
    options = ("--no-detect", "--model", INT8, "--save", tmp_path / "out.v2")
    assert run("predict", picture, other, *options)[0] == 0
    written = {path.name for path in (tmp_path / "out.v2").iterdir()}
    assert written == {"dark-annotated.jpg", "light-annotated.jpg"}
    same = other.rename(other.with_name(picture.name))
    code, out, err = run("predict", picture, same, *options)
    assert (code, out) == (2, "")
    assert "would both become" in err


def test_predict_writes_over_no_picture_that_it_reads(run: Run, picture: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(picture, tmp_path / "dark-annotated.jpg"))
    before = {path: path.read_bytes() for path in (picture, other)}
    (tmp_path / "sub").mkdir()
    for arguments in (
        (picture, "--save", tmp_path / "sub" / ".." / picture.name),
        (picture, other, "--save", tmp_path),
    ):
        code, out, err = run("predict", *arguments, "--no-detect", "--model", INT8)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--save would write over" in err
        assert {path: path.read_bytes() for path in (picture, other)} == before


def test_predict_that_cannot_save_says_so(run: Run, picture: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    for target in (picture / "out.png", loop / "out.png"):
        code, _, err = run("predict", picture, "--no-detect", "--model", INT8, "--save", target)
        assert code == 1
        assert err.startswith(f"edge-emotion: cannot write {target}: ")


def test_a_picture_that_cannot_be_read_costs_no_other_its_result(run: Run, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    other = draw(tmp_path / "other.png")
    arguments = ("predict", picture, tmp_path / "empty.png", other, "--no-detect", "--model", INT8)
    code, out, err = run(*arguments, "--json")
    assert code == 1
    first, failed, last = json.loads(out)
    assert first["faces"] == last["faces"]
    assert first["faces"][0]["label"] == "dark"
    assert failed == {"image": str(tmp_path / "empty.png"), "faces": [], "error": f"{tmp_path / 'empty.png'} is empty"}
    assert err == f"edge-emotion: 1 of 3 pictures not done: {tmp_path / 'empty.png'} is empty\n"
    out = run(*arguments)[1]
    assert out.count(": 1 face\n") == 2
    assert out.endswith("\n2 pictures, 2 faces: dark 2\n")


def test_a_picture_that_is_missing_costs_no_other_its_result(run: Run, picture: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    code, out, err = run("predict", picture, missing, "--no-detect", "--model", INT8, "--json")
    found, failed = json.loads(out)
    assert (code, found["faces"][0]["label"]) == (1, "dark")
    assert failed["image"] == str(missing)
    assert failed["error"] in err


def test_json_of_an_interrupted_run_has_what_was_done(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads(run("predict", folder, "--no-detect", "--model", INT8, "--json")[1])
    read = iter([preprocess.read_image(folder / Path(whole[0]["image"]).name)])

    def interrupted(path: Path) -> Image:
        for image in read:
            return image
        raise KeyboardInterrupt

    monkeypatch.setattr(preprocess, "read_image", interrupted)
    code, out, err = run("predict", folder, "--no-detect", "--model", INT8, "--json")
    assert (code, json.loads(out)) == (130, whole[:1])
    assert "interrupted" in err


def test_predict_says_what_it_saved(run: Run, picture: Path, tmp_path: Path) -> None:
    code, out, _ = run("predict", picture, "--no-detect", "--model", INT8, "--save", tmp_path / "marked.png")
    assert (code, out.splitlines()[-1]) == (0, f"  saved: {tmp_path / 'marked.png'}")
    assert (tmp_path / "marked.png").is_file()


def test_a_folder_stands_for_the_pictures_in_it_by_name(run: Run, folder: Path) -> None:
    draw(folder / ".hidden.png")
    draw(folder / "sub" / "d.png")
    (folder / "notes.txt").touch()
    code, out, err = run("predict", folder, "--no-detect", "--json", "--model", INT8)
    assert (code, err) == (0, f"{folder}: not used: 1 .txt file\n")
    done = [(Path(d["image"]).relative_to(folder).name, d["faces"][0]["label"]) for d in json.loads(out)]
    assert done == [("a.png", "bright"), ("b.JPG", "dark"), ("c.png", "dark")]


def test_folders_and_files_mix_and_each_picture_is_done_once(run: Run, folder: Path, picture: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    named = (folder / "c.png", folder, picture, folder / ".." / picture.name, folder.parent / "link")
    code, out, _ = run("predict", *named, "--no-detect", "--json", "--model", INT8)
    wanted = [folder / "c.png", folder / "a.png", folder / "b.JPG", picture]
    assert (code, [d["image"] for d in json.loads(out)]) == (0, list(map(str, wanted)))


def test_a_folder_without_pictures_is_said_before_anything_is_done(run: Run, picture: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "sub.png").mkdir(parents=True)
    draw(empty / "sub.png" / "a.png")
    for unused, files in (("", ()), ("; not used: 2 .heic files", ("a.heic", "b.heic", ".hidden.png"))):
        for name in files:
            (empty / name).touch()
        code, out, err = run("predict", picture, empty, "--no-detect", "--model", INT8)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"edge-emotion: folder {empty} holds no pictures (.bmp, .jfif, .jpeg, .jpg, ")
        assert err.endswith(f"; sub-folders are not read){unused}\n")


def test_a_folder_takes_its_annotated_copies_and_does_not_annotate_them_again(run: Run, folder: Path) -> None:
    arguments = ("predict", folder, "--no-detect", "--model", INT8, "--save", folder)
    code, first, err = run(*arguments)
    assert (code, err) == (0, "")
    written = {path.name for path in folder.iterdir()}
    assert written == {"a.png", "b.JPG", "c.png", "a-annotated.jpg", "b-annotated.jpg", "c-annotated.jpg"}
    code, second, err = run(*arguments)
    assert (code, second, err) == (0, first, f"{folder}: not used: 3 annotated pictures\n")
    assert {path.name for path in folder.iterdir()} == written
    (folder / "a.png").unlink()
    (folder / "notes.txt").touch()
    code, out, err = run("predict", folder, folder / "c-annotated.jpg", "--no-detect", "--model", INT8, "--json")
    assert [Path(d["image"]).stem for d in json.loads(out)] == ["a-annotated", "b", "c", "c-annotated"]
    assert err == f"{folder}: not used: 1 .txt file\n{folder}: not used: 2 annotated pictures\n"


def test_a_folder_whose_copies_would_collide_is_refused_before_anything_is_done(run: Run, folder: Path) -> None:
    draw(folder / "c.jpg")
    code, out, err = run("predict", folder, "--no-detect", "--model", INT8, "--save", folder.parent / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "would both become" in err
    assert not (folder.parent / "out").exists()


def test_more_than_one_picture_is_summed_up_in_the_last_line(run: Run, folder: Path) -> None:
    model = ("--no-detect", "--model", INT8)
    assert run("predict", folder, *model)[1].endswith("\n3 pictures, 3 faces: dark 2, bright 1\n")
    assert "1 picture," not in run("predict", folder / "a.png", *model)[1]
    faceless = run("predict", folder, "--model", INT8, "--detector", "haar")[1]
    assert faceless.splitlines()[-1] == "3 pictures, 0 faces"


def test_opencv_says_nothing_of_its_own_about_a_picture(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0\x08\0\0\0\0\0")
    command = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", "predict", str(broken), "--no-detect"]
    done = subprocess.run([*command, "--model", str(INT8)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "save it as JPEG or PNG" in done.stderr


def test_predict_shows_a_name_that_is_not_utf_8(picture: Path, tmp_path: Path) -> None:
    odd = picture.rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    command = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", "predict", str(odd), "--no-detect"]
    command += ["--model", str(INT8), "--save", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert r"caf\udce9.png: 1 face" in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_the_photograph_in_the_repository_smiles(run: Run) -> None:
    """The bundled detector and models on a real face, as the README shows it."""
    for model in ("edge-m", "edge-s"):
        code, out, err = run("predict", ROOT / "docs" / "astronaut.jpg", "--model", model, "--json")
        ((face,),) = (picture["faces"] for picture in json.loads(out))
        assert (code, err) == (0, "")
        assert face["label"] == "happy"
        assert face["confidence"] > 0.8
