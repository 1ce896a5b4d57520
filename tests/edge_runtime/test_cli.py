import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import cli
from edge_emotion.edge_runtime.errors import ContractError, DatasetError

INT8 = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "dark.png"
    cv2.imwrite(str(path), np.full((60, 80), 10, np.uint8))
    return path


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    for label, level in (("bright", 250), ("dark", 5), ("grey", 127)):
        folder = tmp_path / "shades" / "validation" / label
        folder.mkdir(parents=True)
        for i in range(3):
            cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 48), level - i, np.uint8))
    return tmp_path / "shades"


def test_version_and_bare_help(run: Run) -> None:
    assert run("--version")[:2] == (0, version("edge-emotion") + "\n")
    code, out, err = run()
    assert code in (0, 2)  # with no command, older Typer exits 0 and newer 2
    assert "predict" in out + err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("predict", ""), "an argument"),
        (("predict", "a.jpg", "--save", ""), "--save"),
        (("run", "--source", "0", "--jsonl="), "--jsonl"),
    ],
)
def test_an_empty_argument_is_no_folder(run: Run, arguments: tuple[str, ...], what: str) -> None:
    assert run(*arguments) == (2, "", f"edge-emotion: {what} is empty: is a variable of the shell not set?\n")


def test_a_token_may_end_with_an_equals_sign(run: Run) -> None:
    code, _, err = run("run", "--source", "0", "--web-token=YSBsb25nIHRva2VuIQ==")
    assert (code, "belong to the page" in err) == (2, True)


def test_help_pages_are_shown_in_any_locale() -> None:
    command = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", "run", "--help"]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"--source" in done.stdout


def test_a_broken_opencv_is_told_by_doctor_and_keeps_no_other_command_from_starting(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"}

    def call(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return done.returncode, done.stdout, done.stderr

    assert call("--version")[:2] == (0, version("edge-emotion") + "\n")
    code, out, _ = call("--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    code, out, err = call("doctor", "--json")
    assert (code, err) == (1, "")
    found = {f["check"]: f for f in json.loads(out)["findings"]}
    assert found["opencv"]["what"] == "this OpenCV needs a desktop's libraries"
    assert "opencv-python-headless" in found["opencv"]["mend"]
    assert found["models"]["mend"] == found["opencv"]["mend"]
    code, _, err = call("run", "--source", "0")
    assert (code, err.count("\n")) == (1, 1)
    assert "libGL.so.1" in err
    assert "edge-emotion doctor" in err


def test_every_public_name_can_be_imported_and_no_other() -> None:
    from edge_emotion import edge_runtime

    for name in edge_runtime.__all__:
        assert getattr(edge_runtime, name).__name__ == name
        assert name in dir(edge_runtime)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = edge_runtime.nonsense  # type: ignore[attr-defined]


def test_every_command_has_help_with_an_example(run: Run) -> None:
    for name, target in cli.COMMANDS.items():
        code, out, _ = run(name, "--help")
        assert code == 0
        if not target.endswith(":app"):
            assert "Example" in out, name


def test_unknown_commands_and_options_are_usage_errors(run: Run) -> None:
    assert run("nonsense")[0] == 2
    assert run("predict", "--nonsense")[0] == 2
    assert run("predict")[0] == 2


def test_an_expected_error_is_one_line(run: Run, tmp_path: Path) -> None:
    code, out, err = run("predict", tmp_path / "none.png", "--no-detect", "--model", INT8)
    assert (code, out) == (1, "")
    assert err.startswith("edge-emotion: cannot read ")
    assert err.count("\n") == 1


def test_debug_shows_the_traceback_wherever_it_stands(run: Run, tmp_path: Path) -> None:
    for arguments in (["--debug", "predict", "none.png"], ["predict", "none.png", "--debug"]):
        assert "Traceback" in run(*arguments, "--model", INT8)[2]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DatasetError("two\nlines"), 1, "edge-emotion: two lines"),
        (ContractError("dropped too much"), 3, "dropped too much"),
        (OSError(28, "No space left on device", "x.tflite"), 1, "No space left on device: x.tflite"),
        (ZeroDivisionError("oops"), 1, "internal error, please report it: ZeroDivisionError: oops"),
        (KeyboardInterrupt(), 130, "edge-emotion: interrupted"),
    ],
)
def test_exit_codes(
    run: Run, picture: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("edge_emotion.edge_runtime.classifier.EmotionClassifier.__init__", fail)
    got, out, err = run("predict", picture, "--model", INT8)
    assert (got, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_evaluate_refuses_a_detector_before_it_scores(run: Run, shades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("scored first")

    monkeypatch.setattr("edge_emotion.edge_runtime.evaluate.evaluate", never)
    code, _, err = run("evaluate", INT8, "--data", shades, "--detector", "blzface")
    assert code == 2
    assert "did you mean blazeface" in err
    code, _, err = run("evaluate", INT8, "--data", shades, "--margin", "0.1")
    assert code == 2
    assert "add --detector" in err


def test_evaluate_json_has_the_contracts_keys(run: Run, shades: Path) -> None:
    code, out, _ = run("evaluate", INT8, "--data", shades, "--json")
    assert code == 0
    document = json.loads(out)
    wanted = {"model", "split", "n", "accuracy", "accuracy_ci95", "macro_f1", "ece", "per_class", "confusion"}
    assert wanted | {"schema_version"} <= set(document)
    assert document["n"] == 9
    assert document["accuracy"] == 1.0
    assert document["per_class"]["dark"] == {"recall": 1.0, "precision": 1.0, "f1": 1.0, "n": 3}


def test_evaluate_says_which_images_it_leaves_out_and_which_outputs_it_masks(run: Run, shades: Path) -> None:
    folder = shades / "validation"
    (folder / "grey").rename(folder / "gray")
    code, out, err = run("evaluate", INT8, "--data", shades, "--json")
    assert code == 0
    document = json.loads(out)
    assert (document["n"], document["left_out"], document["masked"]) == (6, {"gray": 3}, ["grey"])
    assert "3 images of gray are left out" in err
    assert "no images of grey: these outputs are masked" in err
    _, out, err = run("evaluate", INT8, "--data", shades, "--classes", "dark,bright", "--json")
    assert err == ""  # as asked
    assert json.loads(out)["left_out"] == {"gray": 3}


def test_evaluate_of_a_class_without_images_has_no_recall_of_it(run: Run, shades: Path) -> None:
    shutil.copytree(shades / "validation", shades / "train")
    shutil.rmtree(shades / "validation" / "grey")
    code, out, err = run("evaluate", INT8, "--data", shades)
    assert (code, err) == (0, "")
    assert "macro-F1  1.0000" in out
    assert next(line for line in out.splitlines() if line.startswith("grey")).split()[1] == "–"


def test_a_file_name_that_is_not_utf_8_is_a_name_as_any_other(run: Run, shades: Path) -> None:
    image = (shades / "validation" / "grey" / "0.png").read_bytes()
    try:
        Path(os.fsdecode(os.fsencode(shades) + b"/validation/grey/caf\xe9.png")).write_bytes(image)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for data in (shades, shades / "validation"):  # the second: a validation split is made of it
        code, out, err = run("evaluate", INT8, "--data", data, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["accuracy"] == 1.0


def test_evaluate_prints_a_table_and_takes_a_subset(run: Run, shades: Path) -> None:
    code, out, _ = run("evaluate", INT8, "--data", shades, "--classes", "grey,dark")
    assert code == 0
    assert "n = 6" in out
    assert "100.00 %" in out


def test_evaluate_with_other_names_keeps_the_models_input_and_temperature(run: Run, shades: Path) -> None:
    for name, label in (("shadow", "dark"), ("fog", "grey"), ("Light", "bright")):
        (shades / "validation" / label).rename(shades / "validation" / name)
    code, out, _ = run("evaluate", INT8, "--data", shades, "--labels", "Shadow,fog,light", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] == 1.0
    code, _, err = run("evaluate", INT8, "--data", shades, "--labels", "shadow,light,fog", "--input", "48x48:grey:-1:1")
    assert code == 2
    assert "says its own input" in err
    Path("m.keras").write_bytes(b"")
    code, _, err = run("evaluate", "m.keras", "--data", shades, "--labels", "a,b")
    assert code == 2
    assert "describe a TFLite file, and m.keras is none" in err


def test_evaluate_of_what_is_not_there(run: Run, shades: Path, tmp_path: Path) -> None:
    assert run("evaluate", tmp_path / "none.tflite", "--data", shades)[0] == 1
    assert run("evaluate", INT8, "--data", tmp_path / "none")[0] == 1
    assert run("evaluate", INT8, "--data", shades, "--classes", "grey,bleu")[0] == 2
    assert run("evaluate", INT8, "--data", shades, "--backend", "gpu")[0] == 2
    shutil.rmtree(shades / "validation" / "grey")
    (shades / "validation" / "plaid").mkdir()
    cv2.imwrite(str(shades / "validation" / "plaid" / "0.png"), np.zeros((48, 48), np.uint8))
    assert run("evaluate", INT8, "--data", shades)[1].count("n = 6") == 1


def test_the_device_path_loads_nothing_heavy(picture: Path) -> None:
    """The slow ones are poisoned: importing one would end the run."""
    program = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'torch', 'jax', 'matplotlib', 'kagglehub'): sys.modules[name] = None\n"
        "from edge_emotion.edge_runtime import Pipeline\n"
        f"list(Pipeline.open({str(picture)!r}, model={str(INT8)!r}, detector='haar'))\n"
        f"sys.argv = ['edge-emotion', 'predict', {str(picture)!r}, '--no-detect', '--model', {str(INT8)!r}]\n"
        "from edge_emotion.edge_runtime.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "dark" in done.stdout
