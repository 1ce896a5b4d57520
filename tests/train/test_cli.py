import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import EdgeEmotionError
from edge_emotion.edge_runtime.metadata import FACE_48_CENTRED
from edge_emotion.train.drawn_faces import write_dataset
from edge_emotion.train.presets import get_preset, quantisation_aware

Run = Callable[..., tuple[int, str, str]]
BRIGHTNESS = str(Path(__file__).parents[1] / "models" / "brightness-int8.tflite")
LEAN = ("--preset", "tiny", "--epochs", "1", "--classes", "happy,surprise")

pytestmark = pytest.mark.train


def unfinish(folder: Path) -> None:
    """Take the result out of a run's record, as if it had been stopped after its last epoch."""
    record = json.loads((folder / "run.json").read_text())
    del record["metrics"]
    (folder / "run.json").write_text(json.dumps(record))


def test_training_says_what_it_does_and_leaves_a_run(run: Run, keras: Any, drawn_faces: Path) -> None:
    code, out, _ = run("train", "--data", drawn_faces, *LEAN, "--limit", "6,3")
    assert code == 0
    assert "tiny: 12 training and 6 validation images of happy, surprise" in out
    assert "device: tensorflow on " in out
    (line,) = [line for line in out.splitlines() if line.startswith("epoch ")]
    for word in ("1/1", "loss", "accuracy", "val_loss", "val_accuracy", "images/s"):
        assert word in line
    (folder,) = Path("runs").iterdir()
    assert folder.name.endswith("-tiny")
    assert {p.name for p in folder.iterdir()} == {
        *("model.keras", "last.keras", "resume.npz", "run.json", "history.csv"),
        *("accuracy.png", "loss.png", "confusion.png"),
    }


def test_a_folder_in_an_advice_is_quoted_as_a_shell_wants_it(
    run: Run, keras: Any, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path("my runs", "1")
    out.mkdir(parents=True)
    record = out / "run.json"
    record.touch()
    code, _, err = run("train", "--data", drawn_faces, *LEAN, "--out", out)
    assert (code, f"--resume --out '{out}' goes on with it" in err) == (1, True)

    def interrupt(*_: object) -> None:
        record.touch()
        raise KeyboardInterrupt

    record.unlink()
    monkeypatch.setattr("edge_emotion.train.trainer.check_writable", interrupt)
    code, _, err = run("train", "--data", drawn_faces, *LEAN, "--out", out)
    assert (code, err.endswith(f"edge-emotion train --resume --out '{out}'\n")) == (130, True)


def test_json_is_the_record_of_the_run_and_nothing_else(run: Run, keras: Any, drawn_faces: Path) -> None:
    code, out, err = run("train", "--data", drawn_faces, *LEAN, "--seed", 3, "--out", "mine", "--json")
    assert code == 0
    document = json.loads(out)
    assert document["schema_version"] == 1
    assert document["model"] == str(Path("mine", "model.keras"))
    assert document["config"]["seed"] == 3
    assert document["metrics"]["n"] == 8
    assert "epoch   1/1" in err
    code, _, err = run("train", "--data", drawn_faces, *LEAN, "--out", "mine")
    assert code == 1
    assert "--resume --out mine goes on with it" in err
    code, out, _ = run("evaluate", Path("mine", "model.keras"), "--data", drawn_faces, "--json")
    assert json.loads(out)["accuracy"] == document["metrics"]["accuracy"]
    assert json.loads(out)["n"] == 8


def test_the_order_of_classes_is_the_order_asked(run: Run, keras: Any, drawn_faces: Path) -> None:
    arguments = ("--preset", "tiny", "--epochs", 1, "--classes", "surprise, happy", "--out", "r", "--json")
    assert json.loads(run("train", "--data", drawn_faces, *arguments)[1])["metrics"]["labels"] == ["surprise", "happy"]


def test_odd_images_train_and_broken_ones_are_left_out(run: Run, keras: Any, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "odd", 3, 2, classes=("happy", "sad"))
    face = cv2.imread(str(root / "train/happy/00000.png"), cv2.IMREAD_GRAYSCALE)
    assert face is not None
    happy = root / "train" / "happy"
    cv2.imwrite(str(happy / "16bit.png"), face[::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(happy / "rgba.png"), cv2.cvtColor(face[:, ::-1].copy(), cv2.COLOR_GRAY2BGRA))
    (happy / "text.jpg").write_text("not an image")
    jpeg = cv2.imencode(".jpg", face)[1].tobytes()
    (happy / "cut.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    code, out, err = run("train", "--data", root, "--preset", "tiny", "--epochs", 1, "--out", "r", "--json")
    assert code == 0
    assert json.loads(out)["data"]["train_counts"] == {"happy": 5, "sad": 3}
    assert "2 unreadable image(s) skipped in train" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "edgem"), "did you mean edge-m?"),
        (("--preset", "tiny", "--precision", "int4"), "mixed_bfloat16"),
        (("--preset", "tiny", "--classes", "hapy,sad"), "did you mean happy?"),
        (("--preset", "tiny", "--classes", "happy"), "at least two classes"),
        (("--preset", "tiny", "--classes", "happy,happy"), "named twice"),
        (("--preset", "tiny", "--classes", "happy,,sad"), "empty name"),
        (("--preset", "tiny", "--limit", "0"), "--limit takes"),
        (("--preset", "tiny", "--limit", "4,5,6"), "--limit takes"),
        (("--preset", "tiny", "--epochs", "0"), "--epochs"),
        (("--preset", "tiny", "--batch-size", "-3"), "--batch-size"),
        (("--preset", "tiny", "--teacher-weight", "0.4"), "--teacher-weight says how much --teacher counts"),
        (("--preset", "tiny", "--teacher-views", "4"), "--teacher-views says what --teacher is asked about"),
        (("--preset", "tiny", "--votes-weight", "0.4"), "--votes-weight says how much --votes counts"),
        ((), "train needs --preset (seed, edge-m, edge-s, teacher, face, tiny) or --from, or --resume"),
    ],
)
def test_invalid_option_values(run: Run, keras: Any, drawn_faces: Path, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run("train", "--data", drawn_faces, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert not Path("runs").exists()


def test_what_is_missing_is_said_all_of_it_and_nothing_else(run: Run) -> None:
    for arguments, words in (
        ((), "train needs --data, and --preset (seed, edge-m, edge-s, teacher, face, tiny) or --from, or --resume to"),
        (("--preset", "tiny"), "train needs --data, or --resume to go on with a run"),
        (("--qat", "--preset", "tiny"), "train needs --data, and --from (the model that --qat goes on with), or"),
    ):
        code, out, err = run("train", *arguments)
        assert (code, out) == (2, "")
        assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--preset", "tiny", "--votes", "none.csv"), "none.csv: No such file or directory"),
        (("--preset", "tiny", "--votes", "other.csv"), "needs a column `file`"),
        (("--preset", "tiny", "--teacher", "other.csv"), "other.csv is not a TFLite file"),
        (("--preset", "tiny", "--teacher", BRIGHTNESS), "cannot teach these classes"),
        (("--preset", "tiny", "--from", "other.csv"), "other.csv is not a .keras file"),
        (("--preset", "face"), "keep the weights they begin with"),
    ],
)
def test_what_is_refused_leaves_no_folder(
    run: Run, keras: Any, drawn_faces: Path, arguments: tuple[str, ...], words: str
) -> None:
    Path("other.csv").write_text("image,smile\n0.png,1\n")
    code, out, err = run("train", "--data", drawn_faces, *arguments)
    assert (code != 0, out) == (True, "")
    assert words in err
    assert not Path("runs").exists()


def test_datasets_that_cannot_be_trained_on(run: Run, keras: Any, drawn_faces: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(drawn_faces / "train" / "happy", tmp_path / "one" / "train" / "happy")
    shutil.copytree(drawn_faces, tmp_path / "lacking")
    shutil.rmtree(tmp_path / "lacking" / "validation" / "sad")
    for path, words in (
        ("missing", "does not exist"),
        ("empty", "no images in class folders"),
        ("one", "one class only (happy)"),
        ("lacking", "the validation split has no image of sad"),
    ):
        code, out, err = run("train", "--data", tmp_path / path, "--preset", "tiny")
        assert (code, out) == (1, "")
        assert words in err
        assert "Traceback" not in err


def test_a_split_that_is_missing_is_said_before_keras_is_loaded(
    run: Run, drawn_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_emotion.train.cli.import_keras", lambda: pytest.fail("Keras was loaded"))
    shutil.copytree(drawn_faces / "train", tmp_path / "alone" / "train")
    code, out, err = run("train", "--data", tmp_path / "alone", "--preset", "tiny")
    assert (code, out) == (1, "")
    assert f"point --data at {tmp_path / 'alone' / 'train'} to have 10 %" in err


def test_an_output_folder_that_cannot_be_written(run: Run, keras: Any, drawn_faces: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run("train", "--data", drawn_faces, *LEAN, "--out", tmp_path / "file" / "run")
    assert code == 1
    assert "cannot write to" in err
    assert "name another with --out" in err


def test_a_run_mixes_with_nothing_that_is_there(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_emotion.train.cli.import_keras", lambda: pytest.fail("it was not refused"))
    root = write_dataset(tmp_path / "faces", 2, 2, classes=("happy", "sad"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    for out, words in (
        (root, "faces lies in the dataset, where its plots would be images: name another --out"),
        (tmp_path / "mine" / ".." / "faces" / "run", "lies in the dataset"),
        (tmp_path / "mine", "mine is not an empty folder, nor does it hold a run: name a new one with --out"),
    ):
        code, _, err = run("train", "--data", root, *LEAN, "--classes", "happy,sad", "--out", out)
        assert (code, words in err) == (2, True)
    monkeypatch.chdir(root)
    code, _, err = run("train", "--data", ".", *LEAN)
    assert (code, "runs lies in the dataset" in err) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_resume_takes_the_recorded_settings(run: Run) -> None:
    code, _, err = run("train", "--resume")
    assert code == 1
    assert "nothing to resume" in err
    code, _, err = run("train", "--resume", "--epochs", 5, "--seed", 1)
    assert code == 2
    assert "leave --epochs, --seed out" in err
    code, _, err = run("train", "--resume", "--out", "nowhere")
    assert code == 1
    assert "not a run folder" in err


def test_a_finished_run_says_so_and_stays_as_it_is(
    run: Run, keras: Any, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("train", "--data", drawn_faces, *LEAN, "--out", "my run")[0] == 0
    before = {path: path.read_bytes() for path in Path("my run").iterdir()}
    monkeypatch.setattr("edge_emotion.train.cli.import_keras", lambda: pytest.fail("Keras was loaded"))
    said = "my run is finished at epoch 1: to train on, start a new run with --from 'my run/model.keras'\n"
    assert run("train", "--resume", "--out", "my run") == (0, said, "")
    code, out, err = run("train", "--resume", "--out", "my run", "--json")
    assert (code, err, json.loads(out)["epochs_done"]) == (0, said, 1)
    assert {path: path.read_bytes() for path in Path("my run").iterdir()} == before


def test_resume_elsewhere_and_on_changed_images(run: Run, keras: Any, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "faces", 4, 2, classes=("happy", "surprise"))
    assert run("train", "--data", root, *LEAN, "--out", "r")[0] == 0
    unfinish(Path("r"))
    root.rename(tmp_path / "moved")
    code, _, err = run("train", "--resume", "--out", "r")
    assert code == 1
    assert "does not exist" in err
    assert run("train", "--resume", "--out", "r", "--data", tmp_path / "moved")[0] == 0
    unfinish(Path("r"))
    (tmp_path / "moved" / "train" / "happy" / "00000.png").unlink()
    code, _, err = run("train", "--resume", "--out", "r", "--data", tmp_path / "moved")
    assert code == 1
    assert "trained on other images" in err


def test_what_ended_the_training_is_told_though_it_cannot_be_drawn(
    run: Run, keras: Any, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no font")

    def end(*_: object, **__: object) -> None:
        Path("r").mkdir()
        Path("r", "resume.npz").touch()
        raise EdgeEmotionError("gives NaN")

    monkeypatch.setattr("edge_emotion.train.plots.plot_history", fail)
    monkeypatch.setattr("edge_emotion.train.trainer.train", end)
    code, _, err = run("train", "--data", drawn_faces, *LEAN, "--out", "r")
    assert (code, "gives NaN" in err, "no font" in err) == (1, True, False)


def test_training_without_the_extra_says_what_to_install(
    run: Run, drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("edge_emotion.convert.lowering", "edge_emotion.train.plots", "importlib.util"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)  # the first two keep what they import
    for command in (("train", "--data", drawn_faces, *LEAN), ("demo",)):
        code, out, err = run(*command)
        assert (code, out) == (1, "")
        assert "pip install '.[train]' in your clone" in err
        assert not Path("runs").exists()
        assert not Path("demo").exists()


def test_a_run_stopped_in_its_first_epoch_begins_again_with_the_same(
    run: Run, keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    root = write_dataset(tmp_path / "faces", 4, 2, classes=("happy", "surprise"))
    assert run("train", "--data", root, *LEAN, "--out", "first")[0] == 0
    start = Path("first", "model.keras").resolve()
    votes = tmp_path / "votes.csv"
    images = [path.relative_to(root) for path in root.glob("train/*/*.png")]
    votes.write_text("file,smile,frown\n" + "".join(f"{image},5,5\n" for image in images))
    with monkeypatch.context() as patch:
        patch.setattr("edge_emotion.train.cli._EpochBar.move", interrupt)
        arguments = ("--from", start, "--epochs", 1, "--votes", votes, "--out", "r")
        assert run("train", "--data", root, *arguments)[0] == 130
    votes.unlink()  # what they say is kept
    other = write_dataset(tmp_path / "others", 4, 2, seed=1, classes=("happy", "surprise"))
    code, _, err = run("train", "--resume", "--out", "r", "--data", other)
    assert (code, "trained on other images" in err) == (1, True)
    began = start.read_bytes()
    start.write_bytes(began + b"\0")
    code, _, err = run("train", "--resume", "--out", "r")
    assert (code, f"began with another {start}" in err) == (1, True)
    start.write_bytes(began)
    assert run("train", "--resume", "--out", "r")[0] == 0
    trained = Path("r", "model.keras").read_bytes()
    unfinish(Path("r"))
    Path("r", "resume.npz").unlink()
    code, _, err = run("train", "--resume", "--out", "r")
    assert (code, "nothing to resume in r" in err) == (1, True)
    assert Path("r", "model.keras").read_bytes() == trained


def test_a_network_of_ones_own_goes_on_without_its_settings(run: Run, keras: Any, drawn_faces: Path) -> None:
    network = "architecture.stages=[[8, 1], [8, 1]]"
    assert run("train", "--data", drawn_faces, *LEAN, "--set", network, "--out", "own")[0] == 0
    model = Path("own", "model.keras")
    code, out, _ = run("train", "--data", drawn_faces, "--from", model, "--epochs", 1, "--json")
    assert code == 0
    assert json.loads(out)["config"]["preset"]["architecture"]["stages"] == [[8, 1], [8, 1]]


def test_fine_tuning_with_rounding_then_int8(run: Run, keras: Any, drawn_faces: Path) -> None:
    assert run("train", "--data", drawn_faces, *LEAN, "--out", "first")[0] == 0
    start = ("train", "--qat", "--from", Path("first", "model.keras"), "--data", drawn_faces)
    code, out, _ = run(*start, "--classes", "happy,surprise", "--epochs", 1, "--out", "second", "--json")
    assert code == 0
    config = json.loads(out)["config"]
    assert config["qat"] is True
    assert config["preset"]["learning_rate"] == quantisation_aware(get_preset("tiny"), FACE_48_CENTRED).learning_rate
    assert json.loads(out)["parameters"]["non_trainable"] == 0  # no normalisation is left
    code, out, _ = run("convert", Path("second", "model.keras"), "--int8", "--json")
    assert code == 0
    assert json.loads(out)["outputs"][0]["agreement"] >= 0.75  # of eight images
    code, _, err = run(*start, "--out", "third")
    assert code == 2
    assert "--qat goes on with what a model knows, and not with angry" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--qat", "--preset", "tiny"), "train needs --from (the model that --qat goes on with), or --resume"),
        (("--qat",), "train needs --from (the model that --qat goes on with), or --resume"),
        (("--qat", "--from", "missing.keras"), "missing.keras does not exist"),
        (("--qat", "--resume"), "leave --qat out"),
    ],
)
def test_fine_tuning_with_rounding_used_wrongly(
    run: Run, drawn_faces: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run("train", "--data", drawn_faces, *arguments)
    assert (code != 0, out) == (True, "")
    assert words in err
    assert not Path("runs").exists()
