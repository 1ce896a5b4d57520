"""What a check of `doctor` looks at, and what it says."""

from __future__ import annotations

import platform
import re
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from .board import Ran, System
from .provenance import package_versions

OPENCV_FOR_NUMPY_1 = "'numpy<2' 'opencv-python-headless>=4.10,<4.12'"
"""What pip is asked for where apt's picamera2 or tflite-runtime is built for numpy 1: later ones need numpy 2."""
Status = Literal["ok", "note", "warning", "stop"]
PACKAGES = (
    "numpy", "ai-edge-litert", "tflite-runtime", "tensorflow", "opencv-python-headless", "opencv-python",
    "opencv-contrib-python", "opencv-contrib-python-headless", "starlette", "uvicorn", "paho-mqtt",
)  # fmt: skip
NUMPY_MISMATCH = re.compile(r"compiled using NumPy 1|_ARRAY_API|core\.multiarray failed|dtype size changed")
"""How an extension module complains that it was built for another major version of numpy."""


@dataclass(frozen=True)
class Finding:
    """One line of the report. stop: `run` cannot work until it is mended; warning: it works, but badly or in part.

    mend is one command (or, for a thing of the hand, one sentence); empty when nothing is wrong.
    """

    check: str
    status: Status
    what: str
    mend: str = ""

    def __post_init__(self) -> None:
        if self.status in ("warning", "stop") and not self.mend:
            raise ValueError(f"{self.check}: a problem without a mend: {self.what}")

    def to_json(self) -> dict[str, str]:
        """JSON-ready dict."""
        return asdict(self)


def untried(check: str, ran: Ran) -> Finding:
    """That no process could be started (exit code 126) to try it."""
    return Finding(
        check,
        "warning",
        f"could not be tried: {ran.last_line}",
        "end what takes the memory (top shows it), and try once more",
    )


@dataclass(frozen=True)
class Installation:
    """This Python: its version, machine (`aarch64`), bits of a pointer, folder, and the packages it sees, by name."""

    python: tuple[int, int, int]
    machine: str
    bits: int
    executable: str
    prefix: str
    packages: dict[str, str] = field(default_factory=dict)

    @classmethod
    def current(cls) -> Installation:
        """The one that runs now."""
        return cls(
            sys.version_info[:3],
            platform.machine(),
            struct.calcsize("P") * 8,
            sys.executable,
            sys.prefix,
            package_versions(PACKAGES),
        )

    def major(self, package: str) -> int:
        """First number of a package's version; 0 when it is not there."""
        head = self.packages.get(package, "0").split(".")[0]
        return int(head) if head.isdigit() else 0


Check = Callable[[System, Installation], Iterable[Finding]]
