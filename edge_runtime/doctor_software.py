"""Doctor's checks of Python, its packages, and the bundled models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from . import zoo
from .board import Ran, System
from .doctor_check import NUMPY_MISMATCH, OPENCV_FOR_NUMPY_1, Finding, Installation, untried
from .errors import ModelError
from .machine import python

SLOW_MS = 30.0  # one face; with detection on top, under ten frames a second
SELF_TEST_S = 120  # it takes two on a desktop
OPENCV_WHEEL = "'opencv-python-headless>=4.10,<5'"
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def check_python(system: System, here: Installation) -> Iterator[Finding]:
    """Version, and whether wheels exist for it."""
    text = f"Python {'.'.join(map(str, here.python))}, {here.machine}, {here.bits}-bit"
    if here.python < (3, 11, 0):
        yield Finding("python", "stop", f"{text}: 3.11 or newer is needed", "sudo apt install python3 python3-venv")
    elif here.bits == 32 and here.python >= (3, 12, 0):
        yield Finding(
            "python",
            "stop",
            f"{text}: no TFLite runtime exists for 32-bit after 3.11",
            "install the 64-bit Raspberry Pi OS (docs/raspberry-pi.md)",
        )
    elif here.bits == 32:
        yield Finding("python", "note", f"{text}: PyPI has few 32-bit wheels, follow docs/raspberry-pi.md")
    else:
        yield Finding("python", "ok", text)


def check_runtime(system: System, here: Installation) -> Iterator[Finding]:
    """A TFLite runtime, and one that can live with this numpy."""
    if "ai-edge-litert" in here.packages:
        yield Finding("runtime", "ok", f"LiteRT {here.packages['ai-edge-litert']}")
    elif "tflite-runtime" in here.packages:
        text = f"tflite-runtime {here.packages['tflite-runtime']}, numpy {here.packages.get('numpy', 'missing')}"
        if here.major("numpy") >= 2:
            yield Finding(
                "runtime",
                "stop",
                f"{text}: it was built for numpy 1",
                f"{here.executable} -m pip install {OPENCV_FOR_NUMPY_1}",
            )
        else:
            yield Finding("runtime", "ok", f"{text} (LiteRT is 2 to 8 times faster, where it can be installed)")
    elif "tensorflow" in here.packages:
        yield Finding("runtime", "note", f"TensorFlow {here.packages['tensorflow']} only: LiteRT starts far faster")
    else:
        yield Finding("runtime", "stop", "no TFLite runtime", f"{here.executable} -m pip install {_runtime(here)}")


def _runtime(here: Installation) -> str:
    """The TFLite runtime to ask pip for: that which is here, else the one that has wheels for this machine."""
    if "ai-edge-litert" not in here.packages and (here.bits == 32 or "tflite-runtime" in here.packages):
        return "tflite-runtime==2.14.0 'numpy<2'"
    return "ai-edge-litert" if here.major("numpy") != 1 else "ai-edge-litert 'numpy<2'"


def _opencv(here: Installation) -> str:
    """The OpenCV to ask pip for: one that leaves numpy 1 where apt's picamera2 or tflite-runtime wants it."""
    only_tflite_runtime = "tflite-runtime" in here.packages and "ai-edge-litert" not in here.packages
    return OPENCV_FOR_NUMPY_1 if here.major("numpy") == 1 or only_tflite_runtime else OPENCV_WHEEL


def check_opencv(system: System, here: Installation) -> Iterator[Finding]:
    """That numpy and OpenCV can be imported together; they are tried in a process of their own."""
    several = [name for name in OPENCV if name in here.packages]
    if len(several) > 1:
        yield Finding(
            "opencv",
            "warning",
            f"{' and '.join(several)} overwrite each other's files",
            f"{here.executable} -m pip uninstall -y {' '.join(several)}; "
            f"{here.executable} -m pip install --force-reinstall {_opencv(here)}",
        )
    code = "import numpy, cv2; print(numpy.__version__, cv2.__version__, hasattr(cv2, 'CascadeClassifier'))"
    ran = system.run(*python(here.executable), "-c", code, timeout_s=60)
    if ran.code == 126:
        yield untried("opencv", ran)
        return
    said = ran.out.split()
    if ran.code == 0 and len(said) == 3:
        numpy_version, cv_version, has_cascades = said
        if has_cascades == "True":
            yield Finding("opencv", "ok", f"numpy {numpy_version}, OpenCV {cv_version}")
        else:
            yield Finding(
                "opencv",
                "warning",
                f"OpenCV {cv_version} has no Haar cascades: --detector haar will not work",
                f"{here.executable} -m pip install {_opencv(here)}",
            )
        return
    yield _opencv_problem(ran, here)


def _opencv_problem(ran: Ran, here: Installation) -> Finding:
    error = ran.err
    pip = f"{here.executable} -m pip install"
    if "libGL" in error or "libgthread" in error:
        return Finding(
            "opencv",
            "stop",
            "this OpenCV needs a desktop's libraries",
            f"{here.executable} -m pip uninstall -y opencv-python opencv-contrib-python; "
            f"{pip} --force-reinstall {_opencv(here)}",
        )
    if NUMPY_MISMATCH.search(error):
        return Finding(
            "opencv",
            "stop",
            "OpenCV and numpy were built for each other's other version",
            f"{pip} --upgrade --force-reinstall {_opencv(here)}",
        )
    if "No module named" in error:
        mend = f"{pip} {_opencv(here)}" if here.bits == 64 else "sudo apt install python3-opencv opencv-data"
        return Finding("opencv", "stop", ran.last_line, mend)
    return Finding(
        "opencv", "stop", f"OpenCV cannot be imported: {ran.last_line}", f"{pip} --force-reinstall {_opencv(here)}"
    )


def check_extras(system: System, here: Installation) -> Iterator[Finding]:
    """What --web and --mqtt need; leaving them out is no fault."""
    for option, extra, packages in (("--web", "web", ("starlette", "uvicorn")), ("--mqtt", "mqtt", ("paho-mqtt",))):
        if all(name in here.packages for name in packages):
            yield Finding(option, "ok", ", ".join(f"{name} {here.packages[name]}" for name in packages))
        else:
            install = f"{here.executable} -m pip install '.[{extra}]'    # in the clone"
            yield Finding(option, "note", f"not installed; if you want it: {install}")


def check_models(system: System, here: Installation) -> Iterator[Finding]:
    """The bundled models load, agree with what was recorded when they were made, and are fast enough."""
    reinstall = f"{here.executable} -m pip install --force-reinstall --no-deps .    # in the clone"
    ran = system.run(*python(here.executable), "-m", "edge_emotion.edge_runtime.self_test", timeout_s=SELF_TEST_S)
    if ran.code == 126:
        yield untried("models", ran)
        return
    if ran.code != 0:
        yield _self_test_problem(ran, here, reinstall)
        return
    document = json.loads(ran.out)
    if not document["models"]:
        yield Finding("models", "stop", "this installation has no bundled models", reinstall)
        return
    wrong = [name for name, result in document["models"].items() if result["agrees"] is False]
    unknown = [name for name, result in document["models"].items() if result["agrees"] is None]
    if wrong:
        yield Finding("models", "stop", f"not what was recorded when they were made: {', '.join(wrong)}", reinstall)
    else:
        known = f"; no record for {', '.join(unknown)}" if unknown else "; outputs as recorded"
        yield Finding("models", "ok", f"loaded: {', '.join(document['models'])}{known}")
    yield _speed(document["speed"])


def _self_test_problem(ran: Ran, here: Installation, reinstall: str) -> Finding:
    last = ran.last_line
    if ran.code == 124:
        how, mend = (
            f"not done after {SELF_TEST_S} s",
            "end what keeps the machine busy (top shows it), and try once more",
        )
    elif "RuntimeMissingError" in last and "'numpy<2'" in last:
        how, mend = last, f"{here.executable} -m pip install {OPENCV_FOR_NUMPY_1}"
    elif "RuntimeMissingError" not in last and re.search(r"cv2|libGL|libgthread|numpy|_ARRAY_API", last):
        how, mend = last, _opencv_problem(ran, here).mend
    elif ran.code < 0 or re.search(r"^(ImportError|ModuleNotFoundError|OSError)|RuntimeMissingError", last):
        how = f"crashes (signal {-ran.code})" if ran.code < 0 else last
        mend = f"{here.executable} -m pip install --force-reinstall {_runtime(here)}"
    else:
        how, mend = last, reinstall
    return Finding("models", "stop", f"the bundled models do not run: {how}", mend)


def check_detector(system: System, here: Installation) -> Iterator[Finding]:
    """The face detectors' files are the pinned ones; one that was not fetched is not missed."""
    for name, weights in zoo.WEIGHTS.items():
        if not weights.path.exists() and not weights.bundled:
            continue
        try:
            zoo.located(name)
            yield Finding("detector", "ok", f"{name}, as pinned")
        except ModelError as error:
            yield Finding("detector", "stop", str(error).partition(": fetch")[0], f"edge-emotion models fetch {name}")


def _speed(speed: dict[str, float | str]) -> Finding:
    p50_ms = float(speed["p50_ms"])
    text = f"{speed['model']}: {p50_ms:.2f} ms a face (median of {speed['runs']}, one thread)"
    if p50_ms > SLOW_MS:
        return Finding("speed", "warning", f"{text}: slow", "edge-emotion run --source 0 --model edge-s --threads 4")
    return Finding("speed", "ok", text)
