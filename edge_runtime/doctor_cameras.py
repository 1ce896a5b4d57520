"""Doctor's checks of cameras: USB through V4L2, CSI through libcamera and picamera2."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .board import System, board_name
from .doctor_check import NUMPY_MISMATCH, OPENCV_FOR_NUMPY_1, Finding, Installation, untried
from .machine import python

# Nodes of a Pi that are no cameras: codecs, image processors, the raw end of a CSI camera (for libcamera only).
NO_CAMERA = re.compile(r"bcm2835-(codec|isp)|pispbe|rp1-cfe|rpi-hevc|rpivid|unicam|bcm2835-unicam", re.IGNORECASE)
IN_GROUP_VIDEO = "sudo usermod -aG video $USER    # then log in again"
LIST_COMMANDS = ("rpicam-hello", "libcamera-hello")  # Bookworm and later; Bullseye


def check_usb_cameras(system: System, here: Installation) -> Iterator[Finding]:
    """Every V4L2 camera, and whether this user may open it."""
    found = False
    for path in system.glob("/sys/class/video4linux/video*"):
        node = path.rsplit("/", 1)[-1]
        name = system.read(f"{path}/name") or "unnamed"
        if (
            NO_CAMERA.search(name) or (system.read(f"{path}/index") or "0") != "0"
        ):  # index 1: the same camera's metadata
            continue
        found = True
        source = node.removeprefix("video")
        if system.writable(f"/dev/{node}"):
            yield Finding("usb camera", "ok", f"{name}: --source {source}")
        else:
            yield Finding("usb camera", "stop", f"{name} (/dev/{node}) may not be opened by this user", IN_GROUP_VIDEO)
    if not found:
        yield Finding("usb camera", "note", "none found (--source takes a file, a folder or a URL as well)")


def check_csi_cameras(system: System, here: Installation) -> Iterator[Finding]:
    """Cameras on the ribbon cable, and whether this Python can use picamera2."""
    if not board_name(system).startswith("Raspberry Pi"):
        return
    names = None
    for command in LIST_COMMANDS:
        ran = system.run(command, "--list-cameras", timeout_s=20)
        if ran.code == 126:
            yield untried("csi camera", ran)
            return
        if ran.code != 127:
            listed = re.findall(r"^\s*\d+ : (\S+).*\((\S+)\)", ran.out + ran.err, re.MULTILINE)
            names = [name for name, path in listed if "usb" not in path]  # libcamera lists webcams as well
            break
    if names is None:
        yield Finding(
            "csi camera", "note", "cannot tell: rpicam-hello is not installed (sudo apt install rpicam-apps-lite)"
        )
        return
    if not names:
        yield Finding("csi camera", "note", "none found by libcamera (check the ribbon's side, with the power off)")
        return
    for number, name in enumerate(names):
        yield Finding("csi camera", "ok", f"{name}: --source picamera{f':{number}' if number else ''}")
    yield _picamera2(system, here)


def _picamera2(system: System, here: Installation) -> Finding:
    ran = system.run(*python(here.executable), "-c", "import picamera2", timeout_s=60)
    if ran.code == 0:
        return Finding("picamera2", "ok", "can be imported")
    if ran.code == 126:
        return untried("picamera2", ran)
    if "No module named 'picamera2'" in ran.err:
        if system.run(
            "/usr/bin/python3", "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('picamera2'))"
        ).code:
            return Finding(
                "picamera2",
                "stop",
                "not installed, and a CSI camera needs it",
                "sudo apt install -y --no-install-recommends python3-picamera2",
            )
        return Finding(
            "picamera2",
            "stop",
            "installed, but this virtual environment does not see the system's packages",
            f"sed -i '/^include-system-site-packages/s/false/true/' {here.prefix}/pyvenv.cfg",
        )
    if NUMPY_MISMATCH.search(ran.err):
        return Finding(
            "picamera2",
            "stop",
            f"apt's picamera2 does not go with numpy {here.packages.get('numpy', '')} of this environment",
            f"{here.executable} -m pip install {OPENCV_FOR_NUMPY_1}",
        )
    return Finding(
        "picamera2",
        "stop",
        f"cannot be imported: {ran.last_line}",
        "sudo apt install --reinstall python3-picamera2",
    )
