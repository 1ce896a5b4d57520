"""What libedgetpu says: "Failed to load delegate from libedgetpu.so.1" when there is no device (google-coral/tflite
issue 63); the loader's own words when the library is missing; a segmentation fault when it was built for another TFLite
version (tensorflow/tensorflow issue 62371). A stand-in runtime replays each in the probe's own process."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime import edgetpu
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.edgetpu import check_device, cpu_version, is_compiled, refusal
from edge_emotion.edge_runtime.errors import ModelError, OptionError
from edge_emotion.edge_runtime.interpreter import BACKENDS, load_backend
from edge_emotion.edge_runtime.metadata import strip

MODEL = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"

RUNTIME = """
import os, signal, time
def load_delegate(library, options):
    {does}
class Interpreter:
    def __init__(self, model_content, experimental_delegates):
        assert model_content == b"model" and experimental_delegates == ["delegate"]
    def allocate_tensors(self): pass
    def invoke(self): {invoke}
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def ask(does: str, invoke: str = "pass", device: str = "usb:0", timeout_s: float = 30) -> str:
        (tmp_path / "fake_runtime.py").write_text(RUNTIME.format(does=does, invoke=invoke))
        return refusal(b"model", "fake_runtime", device, timeout_s=timeout_s)

    return ask


def test_a_working_one_is_not_refused(probe) -> None:  # type: ignore[no-untyped-def]
    assert probe("assert options == {'device': 'usb:0'}; return 'delegate'") == ""
    assert probe("assert options == {}; return 'delegate'", device="") == ""


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (
            "raise OSError('libedgetpu.so.1: cannot open shared object file: No such file or directory')",
            "install libedgetpu1-std",
        ),
        ("raise ValueError('Failed to load delegate from libedgetpu.so.1\\n')", "finds no device 'usb:0'.*udev"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"crashes with this runtime \(SIGSEGV\)"),
        ("os.abort()", r"SIGABRT"),
        ("raise RuntimeError('something new')", "something new"),
    ],
)
def test_each_refusal_has_its_reason_and_mend(probe, does: str, reason: str) -> None:  # type: ignore[no-untyped-def]
    import re

    assert re.search(reason, probe(does))


def test_a_crash_while_running_counts_too(probe) -> None:  # type: ignore[no-untyped-def]
    assert "SIGSEGV" in probe("return 'delegate'", invoke="os.kill(os.getpid(), signal.SIGSEGV)")


def test_one_that_hangs_is_given_up(probe) -> None:  # type: ignore[no-untyped-def]
    assert "did not answer" in probe("time.sleep(60)", timeout_s=0.5)


def test_the_real_loader_without_the_library_is_understood() -> None:
    module = load_backend()[1].__name__
    said = refusal(MODEL.read_bytes(), module, "", library="libedgetpu-is-not-here.so.1")
    assert said == "libedgetpu-is-not-here.so.1 is not installed: install libedgetpu1-std"


@pytest.mark.parametrize(
    ("device", "name"), [("auto", ""), ("usb", "usb"), ("usb:1", "usb:1"), ("pci:0", "pci:0"), (":1", ":1")]
)
def test_device_strings_are_those_of_libedgetpu(device: str, name: str) -> None:
    assert check_device(device) == name


@pytest.mark.parametrize("device", ["gpu", "usb0", "usb:", "usb:x", "pci:0 "])
def test_other_device_strings_are_wrong_options(device: str) -> None:
    with pytest.raises(OptionError, match="unknown device"):
        check_device(device)


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """Something that was compiled, as far as anyone can see without an Edge TPU, and its source beside it."""
    path = tmp_path / "brightness_edgetpu.tflite"
    path.write_bytes(MODEL.read_bytes() + edgetpu.CUSTOM_OP)
    (tmp_path / "brightness.tflite").write_bytes(MODEL.read_bytes())
    return path


def test_a_compiled_model_is_known_by_its_operator(compiled: Path) -> None:
    assert is_compiled(compiled.read_bytes())
    assert not is_compiled(MODEL.read_bytes())


@pytest.mark.parametrize(("device", "name"), [("auto", ""), ("usb:0", "usb:0")])
def test_a_compiled_model_runs_on_a_working_edge_tpu(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], device: str, name: str
) -> None:
    backend, runtime = load_backend()
    interpreter, asked, given = runtime.Interpreter, [], []

    def refusal(*question: object) -> str:
        asked.append(question)
        return ""

    def open_with(experimental_delegates: object, **options: Any) -> Any:
        given.append(experimental_delegates)
        return interpreter(**options)

    monkeypatch.setattr(edgetpu, "refusal", refusal)
    monkeypatch.setattr(runtime, "load_delegate", lambda library, options: (library, options))
    monkeypatch.setattr(runtime, "Interpreter", open_with)
    with EmotionClassifier(compiled, device=device) as classifier:
        assert classifier.device == f"edgetpu {name}".strip()
        assert classifier.sha256 == hashlib.sha256(compiled.read_bytes()).hexdigest()
    assert asked == [(strip(compiled.read_bytes()), BACKENDS[backend][0], name)]
    assert given == [[(edgetpu.LIBRARY, {"device": name} if name else {})]]
    assert capsys.readouterr().err == ""


def test_of_a_compiled_model_asked_for_on_the_cpu_the_source_runs(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edgetpu, "refusal", lambda *_: pytest.fail("asked"))
    with EmotionClassifier(compiled, device="cpu") as classifier:
        assert classifier.device == "cpu"
        assert classifier.sha256 == hashlib.sha256(MODEL.read_bytes()).hexdigest()


def test_without_an_edge_tpu_the_source_runs_on_the_cpu_and_the_reason_is_said(
    compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edgetpu, "refusal", lambda *_: "nothing is plugged in")
    with EmotionClassifier(compiled) as classifier:
        assert classifier.device == "cpu"
    assert "no Edge TPU: nothing is plugged in" in capsys.readouterr().err


def test_without_its_source_a_compiled_model_is_refused_with_the_reason(compiled: Path) -> None:
    (compiled.parent / "brightness.tflite").unlink()
    with pytest.raises(ModelError, match=r"runs on an Edge TPU only, and x; for the CPU, brightness\.tflite"):
        cpu_version(str(compiled), compiled.read_bytes(), "x")


def test_a_plain_model_asked_for_on_an_edge_tpu_runs_on_the_cpu_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """libedgetpu takes such a model without a word, and leaves every operator to the CPU."""
    monkeypatch.setattr(edgetpu, "refusal", lambda *_: "")
    with EmotionClassifier(MODEL, device="usb:0") as classifier:
        assert classifier.device == "cpu"
    assert "brightness-int8.tflite is not compiled for the Edge TPU" in capsys.readouterr().err


def test_a_plain_model_on_the_cpu_asks_no_edge_tpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edgetpu, "refusal", lambda *_: pytest.fail("asked"))
    for device in ("auto", "cpu"):
        with EmotionClassifier(MODEL, device=device) as classifier:
            assert classifier.device == "cpu"
