"""The Coral Edge TPU: is there one that runs this model, and if not, why not."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

from .errors import ModelError, OptionError
from .machine import python

LIBRARY = "libedgetpu.so.1"
DEVICE = re.compile(r"(usb|pci)?(:\d+)?")  # the device option of libedgetpu: kind, number, or both
CUSTOM_OP = b"edgetpu-custom-op"  # the operator that edgetpu_compiler puts in place of those it maps

_PROBE = """
import sys
from importlib import import_module
runtime = import_module(sys.argv[1])
try:
    delegate = runtime.load_delegate(sys.argv[2], {"device": sys.argv[3]} if sys.argv[3] else {})
    interpreter = runtime.Interpreter(model_content=sys.stdin.buffer.read(), experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    interpreter.invoke()
except Exception as error:
    sys.exit(f"refused: {error}")
"""


def is_compiled(tflite: bytes) -> bool:
    """Whether the model was compiled for the Edge TPU, so that no CPU runs it."""
    return CUSTOM_OP in tflite


def check_device(device: str) -> str:
    """The device string as libedgetpu takes it: `usb`, `usb:0`, `pci:0`, `:1`; empty for any. Raises OptionError."""
    name = "" if device == "auto" else device
    if not DEVICE.fullmatch(name):
        raise OptionError(f"unknown device {device!r}: auto, cpu, usb, usb:0, pci or pci:0")
    return name


def refusal(tflite: bytes, module: str, device: str, library: str = LIBRARY, timeout_s: float = 30.0) -> str:
    """Why an Edge TPU does not run this model, in one clause with the mend; empty when it does.

    The model is run once in a process of its own, because a libedgetpu built for another TFLite version does not fail:
    it crashes. module: the runtime's module with `load_delegate` and `Interpreter`.
    """
    command = [*python(), "-c", _PROBE, module, library, device]
    try:
        done = subprocess.run(command, input=tflite, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return f"the Edge TPU did not answer within {timeout_s:g} s: unplug it and plug it in again"
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"{library} crashes with this runtime ({name}): install the build for {module.split('.')[0]}'s version"
    if "cannot open shared object file" in said:
        return f"{library} is not installed: install libedgetpu1-std"
    if "Failed to load delegate" in said:
        where = f"device {device!r}" if device else "Edge TPU"
        return f"{library} finds no {where}: check the plug, and the udev rule that lets this user open it"
    return said.split("\n")[-1].removeprefix("refused: ") or f"the probe ended with {done.returncode}"


def cpu_version(name: str, tflite: bytes, reason: str) -> tuple[str, bytes]:
    """The model to run on the CPU instead: itself, or for a compiled `X_edgetpu.tflite` its source `X.tflite`.

    Raises ModelError with the reason when there is none.
    """
    if not is_compiled(tflite):
        return name, tflite
    path = Path(name)
    source = path.with_name(path.name.replace("_edgetpu", ""))
    if source == path or not source.is_file():
        raise ModelError(
            f"{name} runs on an Edge TPU only, and {reason}; for the CPU, {path.stem.replace('_edgetpu', '')}.tflite "
            "would have to lie beside it"
        )
    return str(source), source.read_bytes()
