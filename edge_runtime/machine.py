"""What the machine gives this program: cores, a folder for what can be made again, a Python for child processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def usable_cores() -> int:
    """Cores this process may use, which `taskset` or a container may have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_dir() -> Path:
    """Where decoded images and emulated boards are kept: $EDGE_EMOTION_CACHE, else the XDG cache folder."""
    own = os.environ.get("EDGE_EMOTION_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-emotion"


def python(executable: str | None = None) -> tuple[str, str]:
    """Begins the command of a Python (this one, unless another is named) that imports nothing from the working
    directory, where a user may well have a `random.py`."""
    return executable or sys.executable, "-P"
