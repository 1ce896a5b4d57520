"""What `convert` takes when little is said: the newest run, and the data recorded in it."""

from __future__ import annotations

import logging
from pathlib import Path

from ..edge_runtime.dataset import Dataset, open_dataset
from ..edge_runtime.errors import DatasetError, ModelError
from ..train.checkpoint import MODEL_FILE
from ..train.runs import RUN_FILE, RUNS, by_age, read_run

logger = logging.getLogger(__name__)


def newest_model(root: Path = RUNS) -> Path:
    """The model of the run folder below `root` that was written to last. Raises ModelError when there is none."""
    for folder in by_age(root):
        if (folder / MODEL_FILE).exists():
            return folder / MODEL_FILE
    raise ModelError(f"no run with a {MODEL_FILE} below {root}/: name a MODEL, or train one first")


def recorded_dataset(model: Path) -> Dataset | None:
    """The dataset that the run beside the model was trained on, None when there is no run beside it.

    Raises DatasetError when the recorded path is gone.
    """
    if not (model.parent / RUN_FILE).exists():
        return None
    recorded = read_run(model.parent)["data"]
    path = Path(recorded["path"])
    if not path.exists():
        raise DatasetError(f"{path}, on which {model.parent} was trained, is not there any more: give --data")
    dataset = open_dataset(path)
    if dataset.sha256 != recorded["sha256"]:
        logger.warning("%s has changed since %s was trained on it", path, model.parent)
    return dataset
