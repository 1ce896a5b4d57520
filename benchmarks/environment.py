"""What the figures were measured on, read from the kernel's files: nothing here needs rights or may fail."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "edge-emotion",
    "ai-edge-litert",
    "tflite-runtime",
    "tensorflow",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
)
ARM_PARTS = {
    "0xc07": "Cortex-A7",
    "0xb76": "ARM1176",
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
}
"""`CPU part` of /proc/cpuinfo → name (Arm's MIDR_EL1 part numbers)."""
THROTTLE_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of `vcgencmd get_throttled` (Raspberry Pi documentation); 16 higher: since boot."""


@dataclass(frozen=True)
class Environment:
    """The machine and the software, as recorded in every report. A field the machine does not tell is None."""

    board: str
    cpu: str
    cores: int
    machine: str
    governor: str | None
    max_mhz: float | None
    memory_mb: float | None
    kernel: str
    system: str
    python: str
    packages: dict[str, str]
    git_revision: str | None
    started: str
    virtual: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Vitals:
    """The machine's state at one moment; None for what it does not tell."""

    temperature_c: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None
    load: float | None
    steal_s: float | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**self.__dict__, "throttled": None if self.throttled is None else list(self.throttled)}


class Machine:
    """Reads the kernel's files below `root`; tests give it a folder of their own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def environment(self) -> Environment:
        """Everything that stays while the bench runs."""
        cpuinfo = self._text("proc/cpuinfo") or ""
        return Environment(
            board=self._board(),
            cpu=cpu_name(cpuinfo),
            cores=len(usable_cpus()),
            machine=platform.machine(),
            governor=self._text(f"{_CPUFREQ}/scaling_governor"),
            max_mhz=_scaled(self._text(f"{_CPUFREQ}/cpuinfo_max_freq"), 1e-3),
            memory_mb=self._memory_mb(),
            kernel=f"{platform.system()} {platform.release()}",
            system=self._system(),
            python=platform.python_version(),
            packages=package_versions(),
            git_revision=git_revision(),
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            virtual=" hypervisor" in cpuinfo,
        )

    def vitals(self) -> Vitals:
        """Temperature, clock, throttling, load and stolen time now."""
        load = self._text("proc/loadavg")
        stat = (self._text("proc/stat") or "").split("\n")[0].split()
        return Vitals(
            temperature_c=self._temperature(),
            clock_mhz=_scaled(self._text(f"{_CPUFREQ}/scaling_cur_freq"), 1e-3),
            throttled=self._throttled(),
            load=float(load.split()[0]) if load else None,
            steal_s=int(stat[8]) / 100 if len(stat) > 8 else None,
        )

    def fastest_cpus(self, count: int) -> list[int]:
        """The `count` usable CPUs to pin to: highest clock first, among equals the last (interrupts go to the first).

        Empty when there are not more than `count`: then there is nothing to choose.
        """
        usable = usable_cpus()
        if count >= len(usable):
            return []

        def speed(cpu: int) -> float:
            return _scaled(self._text(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"), 1.0) or 0.0

        return sorted(sorted(usable, key=lambda cpu: (speed(cpu), cpu))[-count:])

    def _board(self) -> str:
        model = self._text("proc/device-tree/model") or self._text("sys/firmware/devicetree/base/model")
        if model:
            return model.strip("\0 ")
        product = self._text("sys/devices/virtual/dmi/id/product_name")
        return product or f"{platform.machine()} machine"

    def _memory_mb(self) -> float | None:
        found = re.search(r"MemTotal:\s+(\d+) kB", self._text("proc/meminfo") or "")
        return int(found[1]) * 1024 / 1e6 if found else None

    def _system(self) -> str:
        found = re.search(r'^PRETTY_NAME="?([^"\n]*)', self._text("etc/os-release") or "", re.MULTILINE)
        return found[1] if found else platform.system()

    def _temperature(self) -> float | None:
        """The CPU's zone where one is named so, else the hottest zone."""
        zones = []
        for folder in sorted(self._root.glob("sys/class/thermal/thermal_zone*")):
            relative = folder.relative_to(self._root)
            degrees = _scaled(self._text(f"{relative}/temp"), 1e-3)
            if degrees is not None:
                zones.append(("cpu" in (self._text(f"{relative}/type") or "").lower(), degrees))
        return max(zones)[1] if zones else None

    def _throttled(self) -> tuple[str, ...] | None:
        try:
            done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True)
            return parse_throttled(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return None

    def _text(self, path: str) -> str | None:
        try:
            return (self._root / path).read_text(errors="replace").strip() or None
        except OSError:
            return None


_CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq"


def parse_throttled(text: str) -> tuple[str, ...]:
    """Names of the bits set now in `throttled=0x50005`. Raises ValueError for other text.

    >>> parse_throttled("throttled=0x50005")
    ('under-voltage', 'throttled')
    """
    bits = int(text.strip().partition("=")[2], 16)
    return tuple(name for bit, name in THROTTLE_BITS.items() if bits >> bit & 1)


def cpu_name(cpuinfo: str) -> str:
    """The CPU's name from the text of /proc/cpuinfo; an unknown Arm part keeps its number."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)))
    if parts:
        return " + ".join(ARM_PARTS.get(part, f"Arm part {part}") for part in parts)
    return named[1].strip() if named else platform.processor() or platform.machine()


def usable_cpus() -> list[int]:
    """Numbers of the CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def package_versions() -> dict[str, str]:
    """Versions of the packages that shape a figure, those that are installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def git_revision() -> str | None:
    """The commit of the working directory, or None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _scaled(text: str | None, factor: float) -> float | None:
    try:
        return None if text is None else float(text) * factor
    except ValueError:
        return None
