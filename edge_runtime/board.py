"""The board under the program: name, heat, throttling and memory, as Linux and the Raspberry Pi firmware tell."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

THROTTLED_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of `vcgencmd get_throttled` for now; the same bits + 16 say since boot (Raspberry Pi documentation)."""

FIRMWARE_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"  # without a process; some boards lack it
CPUFREQ = "/sys/devices/system/cpu/cpu0/cpufreq"  # kHz and the governor of the first core, as the kernel tells


@dataclass(frozen=True)
class Ran:
    """A program that ended: exit code (127 when it is not installed, 126 when it cannot be started, 124 when it took
    too long) and its two texts."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def last_line(self) -> str:
        """What it said last of what went wrong, or how it ended when it said nothing."""
        return next((line for line in reversed(self.err.splitlines()) if line.strip()), f"ended with {self.code}")


class System(Protocol):
    """What the board and the doctor ask of the operating system; a fake replays texts of real machines."""

    def read(self, path: str) -> str | None:
        """Text of a file without the trailing line break and NULs, or None when it cannot be read."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths that match, sorted."""
        ...

    def writable(self, path: str) -> bool:
        """Whether this user may read and write the path."""
        ...

    def run(self, *command: str, timeout_s: float = 10.0) -> Ran:
        """Run a program. Never raises for a missing or slow one: see `Ran.code`."""
        ...


class LinuxSystem:
    """The real one."""

    def read(self, path: str) -> str | None:
        """Text of a file, or None when it cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """Absolute paths that match, sorted."""
        return sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))

    def writable(self, path: str) -> bool:
        """Whether this user may read and write the path."""
        import os

        return os.access(path, os.R_OK | os.W_OK)

    def run(self, *command: str, timeout_s: float = 10.0) -> Ran:
        """Run a program to its end."""
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout_s, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            return Ran(124)
        except FileNotFoundError as error:
            return Ran(127, err=str(error))
        except OSError as error:
            return Ran(126, err=error.strerror or str(error))
        return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class BoardState:
    """The board at one moment. None where the machine does not say; `throttled` and `throttled_before` name what is
    wrong now and what has been since boot."""

    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None
    throttled_before: tuple[str, ...] | None = None
    memory_available_mib: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return asdict(self)


def board_name(system: System) -> str:
    """`Raspberry Pi 5 Model B Rev 1.0`; for a PC the product name of its firmware, or an empty string."""
    model = system.read("/proc/device-tree/model") or system.read("/sys/class/dmi/id/product_name")
    return model or ""


def read_board(system: System) -> BoardState:
    """Temperature, throttling and memory now."""
    throttled = read_throttled(system)
    return BoardState(
        temperature_c=read_temperature_c(system),
        throttled=None if throttled is None else throttled_names(throttled),
        throttled_before=None if throttled is None else throttled_names(throttled >> 16),
        memory_available_mib=read_memory_mib(system).get("MemAvailable"),
    )


def read_this_board() -> BoardState:
    """The board that this program runs on."""
    return read_board(LinuxSystem())


def read_temperature_c(system: System) -> float | None:
    """Temperature of the processor in °C, or None."""
    text = system.read("/sys/class/thermal/thermal_zone0/temp")
    with contextlib.suppress(TypeError, ValueError):
        return round(int(text) / 1000, 1)  # type: ignore[arg-type]
    return None


def read_throttled(system: System) -> int | None:
    """The firmware's throttling bits, or None on another board."""
    text = system.read(FIRMWARE_THROTTLED)
    if text is None and board_name(system).startswith("Raspberry Pi"):
        # The page waits for it, and so does the start of MQTT.
        text = system.run("vcgencmd", "get_throttled", timeout_s=2.0).out.strip().removeprefix("throttled=0x")
    with contextlib.suppress(TypeError, ValueError):
        return int(text, 16)  # type: ignore[arg-type]
    return None


def throttled_names(bits: int) -> tuple[str, ...]:
    """Names of the four lowest bits that are set.

    >>> throttled_names(0x50005)
    ('under-voltage', 'throttled')
    """
    return tuple(name for bit, name in THROTTLED_BITS.items() if bits >> bit & 1)


def read_governor(system: System) -> str | None:
    """The CPU clock's governor, such as `ondemand`; None where the kernel names none."""
    return system.read(f"{CPUFREQ}/scaling_governor") or None


def read_memory_mib(system: System) -> dict[str, int]:
    """`/proc/meminfo` in MiB by name; empty when there is none."""
    return {name: kb // 1024 for name, kb in read_memory_kb(system).items()}


def read_memory_kb(system: System) -> dict[str, int]:
    """`/proc/meminfo` in the kernel's kB (1024 bytes) by name; empty when there is none."""
    sizes = {}
    for line in (system.read("/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        with contextlib.suppress(ValueError, IndexError):
            sizes[name] = int(rest.split()[0])
    return sizes
