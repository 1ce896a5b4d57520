"""Doctor over texts of real machines, replayed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from edge_emotion.edge_runtime import cli, doctor_board, doctor_cameras, doctor_software, zoo
from edge_emotion.edge_runtime.board import LinuxSystem, Ran, read_board
from edge_emotion.edge_runtime.doctor import ALL_CHECKS, examine, stops, to_json
from edge_emotion.edge_runtime.doctor_check import Finding, Installation
from edge_emotion.edge_runtime.doctor_cli import closing, line

PY = "/home/pi/.venv/bin/python"
HERE = Installation(
    (3, 11, 2), "aarch64", 64, PY, "/home/pi/.venv",
    {"numpy": "2.4.6", "ai-edge-litert": "2.3.0", "opencv-python-headless": "4.14.0.90", "starlette": "1.0",
     "uvicorn": "0.40", "paho-mqtt": "2.1.0"},
)  # fmt: skip


@dataclass
class Machine:
    """A System that says what it is given. Commands are looked up by their longest known beginning."""

    files: dict[str, str] = field(default_factory=dict)
    commands: dict[str, Ran] = field(default_factory=dict)
    forbidden: frozenset[str] = frozenset()

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def glob(self, pattern: str) -> list[str]:
        depth = pattern.count("/")
        known = {"/".join(path.split("/")[: depth + 1]) for path in self.files}
        return sorted(path for path in known if fnmatch(path, pattern))

    def writable(self, path: str) -> bool:
        return path not in self.forbidden

    def run(self, *command: str, timeout_s: float = 10.0) -> Ran:
        text = " ".join(command)
        matching = [known for known in self.commands if text.startswith(known)]
        return self.commands[max(matching, key=len)] if matching else Ran(127)


OPENCV_FINE = Ran(0, "2.4.6 4.14.0 True\n")
SELF_TEST = {
    "models": {"edge-m": {"agrees": True, "difference": 0.0, "tolerance": 0.4}},
    "speed": {"model": "edge-m", "p50_ms": 1.3, "runs": 1500},
}
RPICAM = """Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
                             2304x1296 [56.03 fps - (0, 0)/4608x2592 crop]
1 : HD Pro Webcam C920 [640x480 8-bit] (/base/axi/pcie@120000/rp1/usb@200000-1:1.0-046d:08e5)
"""


def pi5(**commands: Ran) -> Machine:
    """A Pi 5 with a webcam and a CSI camera, nothing wrong."""
    return Machine(
        {
            "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0",
            "/sys/class/thermal/thermal_zone0/temp": "52350",
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand",
            "/proc/meminfo": "MemTotal:        8256992 kB\nMemFree:  5000000 kB\nMemAvailable:    7340032 kB",
            "/sys/class/video4linux/video0/name": "HD Pro Webcam C920",
            "/sys/class/video4linux/video0/index": "0",
            "/sys/class/video4linux/video1/name": "HD Pro Webcam C920",
            "/sys/class/video4linux/video1/index": "1",
            "/sys/class/video4linux/video19/name": "rp1-cfe-csi2_ch0",
            "/sys/class/video4linux/video20/name": "pispbe-input",
        },
        {
            f"{PY} -P -c import numpy": OPENCV_FINE,
            f"{PY} -P -c import picamera2": Ran(0),
            f"{PY} -P -m edge_emotion": Ran(0, json.dumps(SELF_TEST)),
            "vcgencmd get_throttled": Ran(0, "throttled=0x0\n"),
            "rpicam-hello": Ran(0, RPICAM),
            **commands,
        },
    )


def listed(findings: Iterable[Finding], *status: str) -> list[tuple[str, str, str]]:
    return [(f.check, f.status, f.what) for f in findings if not status or f.status in status]


def only(findings: Iterable[Finding]) -> Finding:
    found = list(findings)
    assert len(found) == 1, found
    return found[0]


def test_a_pi_with_nothing_wrong() -> None:
    findings = list(examine(pi5(), HERE))
    assert listed(findings, "warning", "stop") == []
    assert ("usb camera", "ok", "HD Pro Webcam C920: --source 0") in listed(findings)
    assert ("csi camera", "ok", "imx708: --source picamera") in listed(findings)
    assert ("speed", "ok", "edge-m: 1.30 ms a face (median of 1500, one thread)") in listed(findings)
    assert sum("Webcam" in f.what for f in findings) == 1  # not its metadata node, not libcamera's copy
    assert not any("pispbe" in f.what or "rp1" in f.what for f in findings)
    assert not stops(findings)
    assert to_json(findings)["ok"] is True
    assert "can work; 0 warnings" in closing(findings)


def test_a_machine_that_says_nothing_at_all() -> None:
    """Nothing found, nothing known: each check still ends, and what stops `run` is told."""
    findings = list(examine(Machine(), replace(HERE, packages={})))
    assert {f.check for f in findings if f.status == "stop"} == {"runtime", "opencv", "models"}
    assert stops(findings)
    assert "cannot work yet: 3 things" in closing(findings)


def test_a_check_that_fails_does_not_end_the_others() -> None:
    def check_broken(system: Any, here: Any) -> Iterable[Finding]:
        raise KeyError("x")

    findings = list(examine(pi5(), HERE, [check_broken, doctor_board.check_memory]))
    assert [(f.check, f.status) for f in findings] == [("broken", "warning"), ("memory", "ok")]


def test_a_problem_without_a_mend_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="without a mend"):
        Finding("x", "stop", "broken")


@pytest.mark.parametrize(
    ("change", "status", "what"),
    [
        ({"python": (3, 10, 12)}, "stop", "3.11 or newer"),
        ({"bits": 32, "machine": "armv7l"}, "note", "32-bit"),
        ({"bits": 32, "python": (3, 13, 5)}, "stop", "no TFLite runtime exists for 32-bit"),
        ({"python": (3, 13, 5)}, "ok", "3.13.5"),
    ],
)
def test_python(change: dict[str, Any], status: str, what: str) -> None:
    finding = only(doctor_software.check_python(Machine(), replace(HERE, **change)))
    assert finding.status == status
    assert what in finding.what


@pytest.mark.parametrize(
    ("packages", "bits", "status", "mend"),
    [
        ({"ai-edge-litert": "2.3.0", "numpy": "2.4"}, 64, "ok", ""),
        ({"tflite-runtime": "2.14.0", "numpy": "2.0.1"}, 64, "stop", "'numpy<2' 'opencv-python-headless>=4.10,<4.12'"),
        ({"tflite-runtime": "2.14.0", "numpy": "1.26.4"}, 64, "ok", ""),
        ({"tensorflow": "2.21.0"}, 64, "note", ""),
        ({}, 64, "stop", "pip install ai-edge-litert"),
        ({}, 32, "stop", "tflite-runtime==2.14.0 'numpy<2'"),
    ],
)
def test_runtime(packages: dict[str, str], bits: int, status: str, mend: str) -> None:
    finding = only(doctor_software.check_runtime(Machine(), replace(HERE, packages=packages, bits=bits)))
    assert finding.status == status
    assert mend in finding.mend


NUMPY_1_BUILT = """
A module that was compiled using NumPy 1.x cannot be run in
NumPy 2.4.6 as it may crash.
AttributeError: _ARRAY_API not found
ImportError: numpy.core.multiarray failed to import
"""
NO_GL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
NO_NUMPY_2 = "tflite-runtime 2.14.0 cannot use numpy 2.2.0: pip install 'numpy<2'"
NO_CV2 = "ModuleNotFoundError: No module named 'cv2'"


@pytest.mark.parametrize(
    ("ran", "status", "mend"),
    [
        (OPENCV_FINE, "ok", ""),
        (Ran(0, "2.4.6 5.0.0 False\n"), "warning", "'opencv-python-headless>=4.10,<5'"),
        (Ran(1, "", NUMPY_1_BUILT), "stop", "--upgrade --force-reinstall"),
        (Ran(1, "", NO_GL), "stop", "uninstall -y opencv-python"),
        (Ran(1, "", NO_GL), "stop", "--force-reinstall 'opencv-python-headless>=4.10,<5'"),
        (Ran(1, "", NO_CV2), "stop", "install 'opencv-python-headless>=4.10,<5'"),
        (Ran(-11, "", ""), "stop", "--force-reinstall"),
        (Ran(124), "stop", "--force-reinstall"),
    ],
)
def test_opencv(ran: Ran, status: str, mend: str) -> None:
    finding = only(doctor_software.check_opencv(pi5(**{f"{PY} -P -c import numpy": ran}), HERE))
    assert finding.status == status
    assert mend in finding.mend


def test_two_opencvs_in_one_place() -> None:
    here = replace(HERE, packages={**HERE.packages, "opencv-python": "4.12.0"})
    first, second = doctor_software.check_opencv(pi5(), here)
    assert "install --force-reinstall" in first.mend  # the one that stays has lost files
    assert (first.status, second.status) == ("warning", "ok")
    assert "overwrite each other" in first.what


def self_test(**changes: Any) -> Machine:
    return pi5(**{f"{PY} -P -m edge_emotion": Ran(0, json.dumps({**SELF_TEST, **changes}))})


def test_models() -> None:
    check = doctor_software.check_models
    wrong = {"edge-m": {"agrees": False, "difference": 3.0, "tolerance": 0.4}}
    unknown = {"edge-m": {"agrees": None, "difference": None, "tolerance": 0.4}}
    assert next(iter(check(self_test(models=wrong), HERE))).status == "stop"
    assert "no record for edge-m" in next(iter(check(self_test(models=unknown), HERE))).what
    assert only(check(self_test(models={}, speed=None), HERE)).status == "stop"
    slow = list(check(self_test(speed={"model": "edge-m", "p50_ms": 88.0, "runs": 20}), HERE))[1]
    assert (slow.status, "88.00 ms" in slow.what) == ("warning", True)
    crash = only(check(pi5(**{f"{PY} -P -m edge_emotion": Ran(-11)}), HERE))
    assert "crashes (signal 11)" in crash.what
    failed = only(check(pi5(**{f"{PY} -P -m edge_emotion": Ran(1, "", "Traceback\nModelError: broken\n\n")}), HERE))
    assert "ModelError: broken" in failed.what


@pytest.mark.parametrize(
    ("ran", "mend"),
    [
        (Ran(1, "", NO_GL), "install --force-reinstall 'opencv-python-headless"),
        (Ran(1, "", NO_CV2), "install 'opencv-python-headless"),
        (Ran(1, "", NUMPY_1_BUILT), "install --upgrade --force-reinstall 'opencv-python-headless"),
        (Ran(1, "", "ImportError: /x/ai_edge_litert/_pywrap.so: undefined symbol"), "--force-reinstall ai-edge-litert"),
        (Ran(-11), "--force-reinstall ai-edge-litert"),
        (Ran(124), "busy"),
        (Ran(1, "", f"RuntimeMissingError: {NO_NUMPY_2}"), "install 'numpy<2' 'opencv-python-headless>=4.10,<4.12'"),
        (Ran(1, "", "ModelError: /x/edge-m.tflite is cut off"), "--force-reinstall --no-deps . "),
    ],
)
def test_models_that_do_not_run_are_mended_by_what_is_broken(ran: Ran, mend: str) -> None:
    finding = only(doctor_software.check_models(pi5(**{f"{PY} -P -m edge_emotion": ran}), HERE))
    assert finding.status == "stop"
    assert mend in finding.mend
    without = replace(HERE, packages={"tflite-runtime": "2.14.0"})
    crash = only(doctor_software.check_models(pi5(**{f"{PY} -P -m edge_emotion": Ran(-11)}), without))
    assert "--force-reinstall tflite-runtime==2.14.0" in crash.mend


def test_what_cannot_be_started_is_blamed_on_nothing() -> None:
    failed = Ran(126, err="Cannot allocate memory")
    machine = pi5(**dict.fromkeys([*pi5().commands, "/sbin/ldconfig"], failed))
    machine.files |= coral()
    untried = ("warning", "could not be tried: Cannot allocate memory")
    assert listed(examine(machine, HERE), "warning", "stop") == [
        (check, *untried) for check in ("opencv", "models", "csi camera", "edge tpu")
    ]
    machine.commands["rpicam-hello"] = Ran(0, RPICAM)
    assert list(doctor_cameras.check_csi_cameras(machine, HERE))[-1].what == untried[1]


@pytest.mark.parametrize("packages", [{"numpy": "1.26.4"}, {"tflite-runtime": "2.14.0"}])
def test_a_mend_leaves_numpy_1_to_what_is_built_for_it(packages: dict[str, str]) -> None:
    here = replace(HERE, packages=packages)
    broken = only(doctor_software.check_opencv(pi5(**{f"{PY} -P -c import numpy, cv2": Ran(1, "", NO_GL)}), here))
    assert "--force-reinstall 'numpy<2' 'opencv-python-headless>=4.10,<4.12'" in broken.mend
    machine = pi5(**{f"{PY} -P -m edge_emotion": Ran(-11)})
    assert "'numpy<2'" in only(doctor_software.check_models(machine, here)).mend


def test_one_runtime_is_advised_for_a_machine() -> None:
    here = replace(HERE, packages={}, bits=32)
    crash = only(doctor_software.check_models(pi5(**{f"{PY} -P -m edge_emotion": Ran(-11)}), here))
    assert "tflite-runtime==2.14.0" in only(doctor_software.check_runtime(pi5(), here)).mend
    assert "tflite-runtime==2.14.0" in crash.mend


def test_no_mend_takes_a_package_from_pypi_that_is_not_there() -> None:
    machine = pi5(**{f"{PY} -P -m edge_emotion": Ran(1, "", "ModelError: broken")})
    findings = list(examine(machine, replace(HERE, packages={})))
    texts = [text for f in findings for text in (f.what, f.mend) if "pip install" in text]
    assert sum(text.endswith("    # in the clone") for text in texts) == 3
    assert sum("'.[web]'" in text for text in texts) == sum("'.[mqtt]'" in text for text in texts) == 1
    assert not any(re.search(r"edge-emotion(\[|$| )", text) for text in texts)


def test_a_fetched_detector_that_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    bundled = only(doctor_software.check_detector(Machine(), HERE))
    assert (bundled.status, bundled.what) == ("ok", "blazeface, as pinned")
    file = zoo.WEIGHTS["blazeface-full"].path
    file.parent.mkdir()
    file.write_bytes(b"half a downl")
    same, damaged = doctor_software.check_detector(Machine(), HERE)
    assert same == bundled
    assert (damaged.status, damaged.mend) == ("stop", "edge-emotion models fetch blazeface-full")
    assert "not the pinned file" in damaged.what
    assert "models fetch" not in damaged.what  # once is enough


def test_a_bundled_detector_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(zoo, "DETECTORS", tmp_path)
    lost = only(doctor_software.check_detector(Machine(), HERE))
    assert (lost.status, lost.mend) == ("stop", "edge-emotion models fetch blazeface")


def test_a_camera_this_user_may_not_open() -> None:
    machine = replace(pi5(), forbidden=frozenset({"/dev/video0"}))
    finding = only(doctor_cameras.check_usb_cameras(machine, HERE))
    assert (finding.status, "usermod -aG video" in finding.mend) == ("stop", True)


@pytest.mark.parametrize(
    ("commands", "status", "mend"),
    [
        ({f"{PY} -P -c import picamera2": Ran(0)}, "ok", ""),
        (
            {
                f"{PY} -P -c import picamera2": Ran(1, "", "ModuleNotFoundError: No module named 'picamera2'"),
                "/usr/bin/python3 -c": Ran(0),
            },
            "stop",
            "sed -i '/^include-system-site-packages/s/false/true/' /home/pi/.venv/pyvenv.cfg",
        ),
        (
            {
                f"{PY} -P -c import picamera2": Ran(1, "", "ModuleNotFoundError: No module named 'picamera2'"),
                "/usr/bin/python3 -c": Ran(1),
            },
            "stop",
            "apt install -y --no-install-recommends python3-picamera2",
        ),
        (
            {
                f"{PY} -P -c import picamera2": Ran(
                    1, "", "ValueError: numpy.dtype size changed, may indicate binary incompatibility."
                )
            },
            "stop",
            "'numpy<2' 'opencv-python-headless>=4.10,<4.12'",
        ),
        ({f"{PY} -P -c import picamera2": Ran(1, "", "OSError: libcamera.so.0.5\n")}, "stop", "--reinstall"),
    ],
)
def test_picamera2(commands: dict[str, Ran], status: str, mend: str) -> None:
    camera, picamera2 = doctor_cameras.check_csi_cameras(pi5(**commands), HERE)
    assert camera.status == "ok"
    assert picamera2.status == status
    assert mend in picamera2.mend


def test_no_csi_camera() -> None:
    none = only(
        doctor_cameras.check_csi_cameras(pi5(**{"rpicam-hello": Ran(255, "", "No cameras available!\n")}), HERE)
    )
    assert (none.status, "ribbon" in none.what) == ("note", True)
    machine = pi5()
    del machine.commands["rpicam-hello"]
    assert "rpicam-hello is not installed" in only(doctor_cameras.check_csi_cameras(machine, HERE)).what
    old = replace(machine, commands={**machine.commands, "libcamera-hello": Ran(0, "", RPICAM)})  # Bullseye's name
    assert next(iter(doctor_cameras.check_csi_cameras(old, HERE))).what.startswith("imx708")
    assert list(doctor_cameras.check_csi_cameras(Machine(), HERE)) == []  # not a Pi


def coral(speed: str = "5000", vendor: str = "18d1", product: str = "9302") -> dict[str, str]:
    usb = "/sys/bus/usb/devices/2-1"
    parts = {"idVendor": vendor, "idProduct": product, "speed": speed, "busnum": "2", "devnum": "7"}
    return {f"{usb}/{name}": text for name, text in parts.items()}


LDCONFIG = Ran(0, "\tlibedgetpu.so.1 (libc6,AArch64) => /lib/aarch64-linux-gnu/libedgetpu.so.1\n")


def test_edge_tpu() -> None:
    check = doctor_board.check_edge_tpu
    library = {"/sbin/ldconfig -p": LDCONFIG, "dpkg-query": Ran(0, "libedgetpu1-std 16.0")}
    assert only(check(Machine(), HERE)).status == "note"
    fine = list(check(Machine(coral(), library), HERE))
    assert [f.status for f in fine] == ["ok", "ok"]
    assert "16.0" in fine[1].what
    unused = next(iter(check(Machine(coral(vendor="1a6e", product="089a"), library), HERE)))
    assert "not used since" in unused.what
    slow = next(iter(check(Machine(coral("480"), library), HERE)))
    assert ("USB 2" in slow.what, "blue" in slow.mend) == (True, True)
    shut = Machine(coral(), library, frozenset({"/dev/bus/usb/002/007"}))
    assert "/etc/udev/rules.d/" in next(f for f in check(shut, HERE) if f.status == "warning").mend
    bare = list(check(Machine(coral()), HERE))[-1]
    assert "libedgetpu.so.1 is not installed" in bare.what
    card = {"/sys/bus/pci/devices/0000:01:00.0/vendor": "0x1ac1", "/sys/bus/pci/devices/0000:01:00.0/device": "0x089a"}
    assert "no driver" in next(iter(check(Machine(card, library), HERE))).what
    assert next(iter(check(Machine({**card, "/dev/apex_0": ""}, library), HERE))).status == "ok"


@pytest.mark.parametrize(
    ("bits", "status", "what"),
    [
        ("0x0", "ok", "no under-voltage"),
        ("0x50005", "warning", "under-voltage now"),
        ("0x50000", "warning", "under-voltage since boot"),
        ("0x80008", "warning", "soft temperature limit now"),
        ("0xe0000", "note", "since boot: frequency capped, throttled, soft temperature limit"),
    ],
)
def test_power(bits: str, status: str, what: str) -> None:
    finding = only(
        doctor_board.check_throttling(pi5(**{"vcgencmd get_throttled": Ran(0, f"throttled={bits}\n")}), HERE)
    )
    assert finding.status == status
    assert what in finding.what


def test_a_hot_slow_full_board() -> None:
    machine = pi5()
    machine.files["/sys/class/thermal/thermal_zone0/temp"] = "83700"
    machine.files["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] = "powersave"
    machine.files["/proc/meminfo"] = "MemTotal: 437000 kB\nMemAvailable: 80000 kB"
    checks = [doctor_board.check_temperature, doctor_board.check_governor, doctor_board.check_memory]
    findings = list(examine(machine, HERE, checks))
    assert [f.status for f in findings] == ["warning"] * 3
    assert "78 of 426 MiB" in findings[2].what
    assert not stops(findings)


@pytest.mark.parametrize("text", ["", "hot", "VCHI initialization failed", "throttled=", "throttled=0xzz"])
def test_a_board_that_talks_nonsense(text: str) -> None:
    machine = pi5(**{"vcgencmd get_throttled": Ran(0, text)})
    machine.files["/sys/class/thermal/thermal_zone0/temp"] = text
    machine.files["/proc/meminfo"] = text
    board = read_board(machine)
    assert (board.temperature_c, board.throttled, board.memory_available_mib) == (None, None, None)
    assert listed(examine(machine, HERE), "stop") == []


def test_every_mend_in_the_source_that_is_a_command_is_one_line_a_shell_can_read() -> None:
    broken = replace(HERE, packages={"tflite-runtime": "2.14.0", "numpy": "2.4"}, python=(3, 10, 0))
    machine = replace(
        pi5(**{f"{PY} -P -c import picamera2": Ran(1, "", "No module named 'picamera2'"), "/usr/bin/python3": Ran(0)}),
        forbidden=frozenset({"/dev/video0", "/dev/bus/usb/002/007"}),
    )
    machine.files |= coral("480")
    mends = [f.mend for f in examine(machine, broken) if f.mend]
    assert len(mends) >= 6
    for mend in mends:
        assert "\n" not in mend
        if re.match(r"(sudo|sed|printf|echo|/)", mend):
            assert shlex.split(mend, comments=True)


def test_lines_show_the_mend_below() -> None:
    assert line(Finding("power", "ok", "fine")) == "ok  power        fine"
    assert line(Finding("power", "stop", "gone", "do this")).splitlines()[1].strip() == "mend: do this"


@pytest.mark.parametrize(("machine", "code"), [(pi5(), 0), (replace(pi5(), forbidden=frozenset({"/dev/video0"})), 1)])
def test_the_command(
    machine: Machine, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edge_emotion.edge_runtime.board.LinuxSystem", lambda: machine)
    monkeypatch.setattr(Installation, "current", classmethod(lambda cls: HERE))
    for arguments in (["doctor"], ["doctor", "--json"]):
        monkeypatch.setattr(sys, "argv", ["edge-emotion", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == code
        shown = capsys.readouterr().out
        if "--json" in arguments:
            document = json.loads(shown)
            assert (document["schema_version"], document["ok"]) == (1, code == 0)
            assert document["board"] == "Raspberry Pi 5 Model B Rev 1.0"
            assert {"check", "status", "what", "mend"} == set(document["findings"][0])
        else:
            assert shown.startswith("Raspberry Pi 5 Model B Rev 1.0\nok  python")
            assert ("cannot work" in shown) == (code == 1)


def test_the_real_system_answers_or_says_none(tmp_path: Any) -> None:
    system = LinuxSystem()
    (tmp_path / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert system.read(str(tmp_path / "model")) == "Raspberry Pi 5 Model B Rev 1.0"
    assert system.read(str(tmp_path / "none")) is None
    assert system.glob(f"{tmp_path}/*") == [str(tmp_path / "model")]
    assert system.glob(f"{tmp_path}/x*") == []
    assert system.writable(str(tmp_path))
    assert not system.writable(str(tmp_path / "none"))
    assert system.run("no-such-program-anywhere").code == 127
    assert system.run(str(tmp_path / "model")) == Ran(126, err="Permission denied")
    assert system.run(sys.executable, "-c", "print('a'); raise SystemExit(3)") == Ran(3, "a\n", "")
    assert system.run(sys.executable, "-c", "import time; time.sleep(60)", timeout_s=0.01).code == 124


def test_this_installation_and_every_check_here() -> None:
    here = Installation.current()
    assert here.python == sys.version_info[:3]
    assert here.major("numpy") >= 1
    assert here.major("no-such") == 0
    names: list[Callable[..., Any]] = list(ALL_CHECKS)
    assert len(set(names)) == len(names) == 13
