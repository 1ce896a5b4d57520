"""An Arm Debian userland in a folder: built once from Debian's and PyPI's packages, then kept in the cache."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime import console
from ..edge_runtime.errors import DeviceError
from ..edge_runtime.machine import cache_dir, python

SUITE = "bookworm"
"""Debian 12, which Raspberry Pi OS Bookworm is made from."""
PYTHON = "3.11"
"""Its Python."""
REVISION = 1
"""Raised when `Userland.build` makes something else from the same description."""
TOOLS = {"mmdebstrap": "mmdebstrap", "gcc": "gcc", "qemu-aarch64": "qemu-user", "qemu-arm": "qemu-user"}
"""Program → the Debian package that has it."""


@dataclass(frozen=True)
class Userland:
    """What the folder holds.

    architecture: Debian's name. packages: Debian packages, whose dependencies come along. wheels: `name==version`
    from PyPI, taken as they are, without dependencies. platforms: wheel tags to accept, best first.
    """

    architecture: str
    packages: tuple[str, ...]
    wheels: tuple[str, ...]
    platforms: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change with anything that changes the content."""
        recipe: dict[str, Any] = {"suite": SUITE, "revision": REVISION, **asdict(self)}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def path(self) -> Path:
        """Where it is kept, built or not."""
        return cache_dir() / "emulated" / f"{self.architecture}-{self.fingerprint}"

    @contextlib.contextmanager
    def opened(self) -> Iterator[Path]:
        """The folder, built first when it is not there, for this process alone: others wait their turn."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.path.exists():
                self._build()
            yield self.path

    def _build(self) -> None:
        """Make the folder under another name and rename it when it is whole: an interrupted build leaves nothing."""
        why_not = missing_tools(("mmdebstrap",))
        if why_not:
            raise DeviceError(why_not)
        console.note(f"building the emulated {self.architecture} userland in {self.path} (once, about a minute)")
        partial = self.path.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            checked(self.bootstrap_command(partial, debian_mirror()))
            with tempfile.TemporaryDirectory() as folder:
                checked(self.download_command(Path(folder)))
                for wheel in sorted(Path(folder).glob("*.whl")):
                    with zipfile.ZipFile(wheel) as archive:
                        archive.extractall(partial / "site")
            partial.rename(self.path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def bootstrap_command(self, target: Path, mirror: str | None) -> list[str]:
        """Debian's packages into `target`.

        The variant `extract` only unpacks: no maintainer script runs, so nothing foreign is executed, no binfmt_misc
        is needed, and it takes seconds. What the scripts would have set up (alternatives, caches) is missing: a
        board names such library folders itself.
        """
        return [
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=extract",
            "--skip=check/qemu",
            f"--architectures={self.architecture}",
            f"--include={','.join(self.packages)}",
            '--aptopt=Acquire::Retries "5"',
            SUITE,
            str(target),
            *([f"deb {mirror} {SUITE} main"] if mirror else []),
        ]

    def download_command(self, target: Path) -> list[str]:
        """The wheels for the guest's Python and machine into `target`, with pip as it is configured here."""
        return [
            *(*python(), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--only-binary=:all:", "--dest", str(target)),
            *("--python-version", PYTHON, "--implementation", "cp"),
            *(part for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for part in ("--abi", abi)),
            *(part for platform in (*self.platforms, "any") for part in ("--platform", platform)),
            *self.wheels,
        ]


def missing_tools(programs: Sequence[str]) -> str | None:
    """Why this machine cannot emulate, in one line with the fix; None when it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "the emulated board runs on x86-64 Linux only"
    packages = sorted({TOOLS[program] for program in programs if shutil.which(program, path=_path()) is None})
    if packages:
        return f"the emulated board needs Debian 12's {', '.join(packages)}: sudo apt-get install {' '.join(packages)}"
    if os.geteuid() != 0:
        return "the emulated board needs root, for chroot: run it with sudo -E, or in a container"
    return None


def debian_mirror() -> str | None:
    """The Debian archive that apt uses on this machine; None when there is none, and mmdebstrap takes its default."""
    if shutil.which("apt-get") is None:
        return None
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return next((uri for uri in listed if uri.rstrip("/").endswith("/debian")), None)


def checked(command: Sequence[str]) -> None:
    """Run a command quietly. Raises DeviceError with its error lines when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.lstrip().lower().startswith(("e:", "error"))] or said[-1:]
        raise DeviceError(f"{command[0]} failed ({done.returncode}): {' '.join(errors)[:400]}")


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
