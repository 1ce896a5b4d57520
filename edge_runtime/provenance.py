"""What made a file or a figure: the versions of the packages behind it and the commit it was made at."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

MODEL_TOOLS = ("edge-emotion", "keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless")
"""The packages that shape a model when it is trained or converted."""


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions by name, of those distributions that are installed."""
    found = {}
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def tool_versions() -> dict[str, str]:
    """Versions of the packages that shape a model, those that are installed."""
    return package_versions(MODEL_TOOLS)


def git_revision() -> str | None:
    """The commit of the working directory, or None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
