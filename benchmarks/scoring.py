"""Accuracy of all rows on the same images, each model in its own worker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Dataset, Split
from ..edge_runtime.evaluate import Evaluation
from ..edge_runtime.labels import class_indices
from ..edge_runtime.metadata import InputSpec
from .accuracy import Accuracy, against, shared_classes
from .config import BenchConfig
from .measurement import Measurement
from .report import Row

Splits = dict[InputSpec, Split]
"""The same images in the same order, prepared for each kind of input."""


def load_splits(
    measurements: Sequence[Measurement], config: BenchConfig, dataset: Dataset, progress: Progress | None
) -> Splits:
    """The split for each input among the models. Raises as `shared_classes` and `load` do."""
    models = [m.metadata for m in measurements if m.metadata]
    classes = shared_classes(models, dataset, config.classes)
    return {
        spec: dataset.load(config.split, spec, classes, progress)
        for spec in dict.fromkeys(model.input for model in models)
    }


def score_all(measurements: Sequence[Measurement], splits: Splits, progress: Progress | None) -> None:
    """Put the accuracy block into each row: one pass a file, at its first number of threads; its others repeat it."""
    scored: dict[str, Evaluation] = {}
    try:
        _pass_over(measurements, splits, scored, progress)
    finally:  # also when interrupted: the files that are done keep their accuracy
        _put_blocks(measurements, splits, scored)


def _put_blocks(measurements: Sequence[Measurement], splits: Splits, scored: Mapping[str, Evaluation]) -> None:
    whole = [m for m in measurements if m.row.path in scored]
    hashes = {spec: split.sha256 for spec, split in splits.items()}
    rows = [m.row for m in whole]
    for measurement in whole:
        own, sha256 = scored[measurement.row.path], hashes[measurement.input]
        reference = _float_file(measurement.row, rows)
        if reference is None or reference.path == measurement.row.path:
            block = Accuracy(own.split.name, sha256, own.metrics)
        else:
            block = against(own, scored[reference.path], reference.model, sha256)
        measurement.row = replace(measurement.row, accuracy=block)


def _float_file(row: Row, rows: Sequence[Row]) -> Row | None:
    """The first float32 file of the row's network, else the first float16 file."""
    family = [other for other in rows if other.path == row.path or other.same_network(row)]
    return next((other for kind in ("float32", "float16") for other in family if other.precision == kind), None)


def _pass_over(
    measurements: Sequence[Measurement], splits: Splits, scored: dict[str, Evaluation], progress: Progress | None
) -> None:
    """Put the score of each file that can be scored under its path."""
    with tempfile.TemporaryDirectory(prefix="edge-emotion-bench-") as folder:
        files = {spec: Path(folder) / f"images-{number}.npy" for number, spec in enumerate(splits)}
        for spec, split in splits.items():
            np.save(files[spec], split.images)
        for number, measurement in enumerate(measurements):
            if measurement.alive and measurement.metadata and measurement.row.path not in scored:
                split = splits[measurement.input]
                logits = measurement.logits(files[measurement.input], len(split), Path(folder) / "logits.npy")
                if logits is not None:
                    chosen = class_indices(split.classes, measurement.metadata.labels)
                    temperature = measurement.metadata.temperature
                    scored[measurement.row.path] = Evaluation.of_logits(split, logits[:, chosen], temperature)
            if progress:
                progress(number + 1, len(measurements))
