"""What the figures were measured on, read from the kernel's files: nothing here needs rights or may fail."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import asdict, dataclass
from typing import Any

from ..edge_runtime.board import CPUFREQ, LinuxSystem, System, board_name, read_board, read_governor, read_memory_kb
from ..edge_runtime.machine import usable_cores
from ..edge_runtime.provenance import git_revision, package_versions

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
SIMD = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "neon", "asimd", "asimdhp", "asimddp", "i8mm")
"""Vector instructions that decide which kernels XNNPACK takes, by the names of the kernel's /proc/cpuinfo."""
INT8_SIMD = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
"""Those that multiply int8 faster than floats."""


@dataclass(frozen=True)
class Environment:
    """The machine and the software, as recorded in every report. A field the machine does not tell is None."""

    board: str
    cpu: str
    simd: tuple[str, ...]
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

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {**asdict(self), "simd": list(self.simd)}


@dataclass(frozen=True)
class Vitals:
    """The machine's state at one moment; None for what it does not tell. time_s: monotonic."""

    time_s: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None
    throttled_since_boot: tuple[str, ...] | None
    load: float | None
    steal_s: float | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        names = {key: list(value) for key, value in self.__dict__.items() if isinstance(value, tuple)}
        return {**self.__dict__, **names}


class Machine:
    """What a bench asks of the machine, through the doctor's `System`; tests replay texts of real machines."""

    def __init__(self, system: System | None = None) -> None:
        self._system = system or LinuxSystem()

    def environment(self) -> Environment:
        """Everything that stays while the bench runs."""
        cpuinfo = self._system.read("/proc/cpuinfo") or ""
        name = re.search(r'^PRETTY_NAME="?([^"\n]*)', self._system.read("/etc/os-release") or "", re.MULTILINE)
        memory_kb = read_memory_kb(self._system).get("MemTotal")
        return Environment(
            board=board_name(self._system) or f"{platform.machine()} machine",
            cpu=cpu_name(cpuinfo),
            simd=simd_names(cpuinfo),
            cores=usable_cores(),
            machine=platform.machine(),
            governor=read_governor(self._system),
            max_mhz=self._mhz(f"{CPUFREQ}/cpuinfo_max_freq"),
            memory_mb=None if memory_kb is None else memory_kb * 1024 / 1e6,
            kernel=f"{platform.system()} {platform.release()}",
            system=name[1] if name else platform.system(),
            python=platform.python_version(),
            packages=package_versions(PACKAGES),
            git_revision=git_revision(),
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            virtual=" hypervisor" in cpuinfo,
        )

    def vitals(self) -> Vitals:
        """Temperature, clock, throttling, load and stolen time now."""
        state = read_board(self._system)
        load = self._system.read("/proc/loadavg")
        stat = (self._system.read("/proc/stat") or "").split("\n")[0].split()
        return Vitals(
            time_s=time.monotonic(),
            temperature_c=state.temperature_c,
            clock_mhz=self._mhz(f"{CPUFREQ}/scaling_cur_freq"),
            throttled=state.throttled,
            throttled_since_boot=state.throttled_before,
            load=float(load.split()[0]) if load else None,
            steal_s=int(stat[8]) / 100 if len(stat) > 8 else None,
        )

    def fastest_cpus(self, count: int) -> list[int]:
        """The `count` usable CPUs to pin to: highest clock first, among equals the last (interrupts go to the first).

        Empty when there are not more than `count`: then there is nothing to choose.
        """
        usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if count >= len(usable):
            return []

        def speed(cpu: int) -> float:
            return self._mhz(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq") or 0.0

        return sorted(sorted(usable, key=lambda cpu: (speed(cpu), cpu))[-count:])

    def _mhz(self, path: str) -> float | None:
        """A frequency file, kHz, in MHz; None where it is missing or not to be read."""
        try:
            return float(self._system.read(path) or "") / 1000
        except ValueError:
            return None


def cpu_name(cpuinfo: str) -> str:
    """The CPU's name from the text of /proc/cpuinfo; an unknown Arm part keeps its number."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)))
    if parts:
        return " + ".join(ARM_PARTS.get(part, f"Arm part {part}") for part in parts)
    return named[1].strip() if named else platform.processor() or platform.machine()


def simd_names(cpuinfo: str) -> tuple[str, ...]:
    """Those of `SIMD` that the text of /proc/cpuinfo has for every core, in the order there."""
    cores = [set(words.split()) for words in re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)]
    return tuple(name for name in SIMD if cores and all(name in core for core in cores))
