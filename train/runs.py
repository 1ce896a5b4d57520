"""Run folders: where a new one goes, which one is meant when none is named, and what one says of itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..edge_runtime.atomic import check_writable
from ..edge_runtime.errors import EdgeEmotionError
from .checkpoint import HISTORY_FILE, RESUME_FILE

SCHEMA_VERSION = 1
RUN_FILE = "run.json"
"""The record in a run folder, see `record`."""
RUNS = Path("runs")
"""Where runs go by default, below the working directory."""


@contextlib.contextmanager
def new_folder(preset: str) -> Iterator[Path]:
    """Make `runs/<local time>-<preset>`, ending in -2, -3, … where another run has that name already.

    It is gone afterwards when nothing was written into it. Raises EdgeEmotionError when it cannot be made.
    """
    check_writable(RUNS)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{preset}"
    for number in itertools.count(1):
        folder = RUNS / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
            RUNS.rmdir()


def read_run(folder: Path) -> dict[str, Any]:
    """The run.json of a run folder. Raises EdgeEmotionError when there is none, or it is not whole."""
    try:
        document = json.loads((folder / RUN_FILE).read_text())
    except OSError as error:
        raise EdgeEmotionError(f"{folder} is not a run folder: {RUN_FILE}: {error.strerror or error}") from error
    except ValueError as error:
        raise EdgeEmotionError(f"{folder / RUN_FILE} is not whole: {error}") from error
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise EdgeEmotionError(f"{folder / RUN_FILE} has another schema than {SCHEMA_VERSION}")
    if "config" not in document or "data" not in document:
        raise EdgeEmotionError(f"{folder / RUN_FILE} is not whole: it lacks the settings or the data")
    return document


def any_epoch_finished(folder: Path) -> bool:
    """Whether the run in a folder finished an epoch, if only one that left no state to go on from."""
    return any((folder / name).exists() for name in (RESUME_FILE, HISTORY_FILE)) or "metrics" in read_run(folder)


def newest_unfinished(root: Path = RUNS) -> Path:
    """The run folder below `root` that was worked on last, of those without final metrics.

    Raises EdgeEmotionError when there is none.
    """
    for folder in by_age(root):
        try:
            if "metrics" not in read_run(folder):
                return folder
        except EdgeEmotionError:
            continue  # someone else's folder, or an older schema
    raise EdgeEmotionError(f"nothing to resume: no unfinished run below {root}/ (name one with --out RUN)")


def by_age(root: Path = RUNS) -> Iterator[Path]:
    """The run folders below `root`, the one written to last first."""
    records = [
        (path.parent, max(_modified(path), _modified(path.with_name(RESUME_FILE))))
        for path in root.glob(f"*/{RUN_FILE}")
    ]
    for folder, _ in sorted(records, key=lambda item: (item[1], item[0].name), reverse=True):
        yield folder


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
