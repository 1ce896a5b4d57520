"""What a network is trained towards: hard labels, smoothed, mixed with what teachers and annotators say of each image.

Soft labels are made before the training, so a teacher may be of any kind, size and number, and is not needed again to
resume. Annotators voted on the image as it is. Teachers are asked about augmented copies, the very ones that the
network will see: a face half hidden is no longer surely happy (Beyer 2022, "A good teacher is patient and consistent").
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.classifier import LogitsModel, require_numbers
from ..edge_runtime.console import Progress
from ..edge_runtime.dataset import Split
from ..edge_runtime.errors import DatasetError, EdgeEmotionError, OptionError
from ..edge_runtime.labels import class_indices
from ..edge_runtime.metrics import softmax
from ..edge_runtime.preprocess import Pixels
from .config import TrainConfig
from .views import Views

Targets = NDArray[np.float32]
"""(N, classes), or (views, N, classes) where they differ by view. A row sums to the weight of its image in the loss."""

TARGETS_FILE = "targets.npy"
CHUNK = 1024


def annotated_targets(split: Split, config: TrainConfig) -> Targets:
    """What people say of each image, (N, classes): the labels, smoothed, and votes. Raises DatasetError."""
    targets = hard_targets(split, config.preset.label_smoothing)
    if config.votes:
        targets = mix(targets, vote_labels(Path(config.votes), split), config.votes_weight)
    return targets


def training_targets(
    targets: Targets,
    views: Views,
    config: TrainConfig,
    teachers: Sequence[LogitsModel] = (),
    progress: Progress | None = None,
) -> Targets:
    """The targets of a run, as its preset and settings say: `annotated_targets`, with what teachers say mixed in.

    Raises OptionError like `teacher_labels`.
    """
    split = views.split
    if teachers:
        if config.teacher_views and not views.augmentation:  # one view, the image as it is, is that of all epochs
            soft = teacher_labels(teachers, replace(views, number=1), progress)[0]
        else:
            soft = teacher_labels(teachers, views, progress)
        targets = mix(targets, soft, config.teacher_weight)
    return balanced(targets, split, config.preset.class_balance)


def save_targets(out: Path, targets: Targets) -> None:
    """Keep them in a run folder, whole."""
    buffer = io.BytesIO()
    np.save(buffer, targets)
    write_atomically(out / TARGETS_FILE, buffer.getvalue())


def load_targets(out: Path) -> Targets:
    """What `save_targets` kept. Raises EdgeEmotionError when it is missing or broken."""
    try:
        return np.asarray(np.load(out / TARGETS_FILE, allow_pickle=False), np.float32)
    except OSError as error:
        raise EdgeEmotionError(f"nothing to resume in {out}: {TARGETS_FILE}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise EdgeEmotionError(f"nothing to resume in {out}: {TARGETS_FILE} is not whole: {error}") from error


def hard_targets(split: Split, smoothing: float = 0.0) -> Targets:
    """One-hot rows with `smoothing` of their weight spread evenly over all classes (Szegedy 2016)."""
    classes = len(split.classes)
    one_hot = np.eye(classes, dtype=np.float32)[split.labels]
    return np.asarray((1 - smoothing) * one_hot + smoothing / classes, np.float32)


def mix(hard: Targets, soft: Targets, weight: float) -> Targets:
    """`weight` of the soft row and the rest of the hard one; a soft row of zeros says nothing and changes nothing."""
    each = weight * (soft.sum(axis=-1, keepdims=True) > 0)
    return np.asarray((1 - each) * hard + each * soft, np.float32)


def balanced(targets: Targets, split: Split, exponent: float) -> Targets:
    """Rows times (images of their class)^-exponent, scaled to a mean weight of 1: 0 changes nothing, 1 evens out."""
    counts = np.bincount(split.labels, minlength=len(split.classes))
    weights = np.maximum(counts, 1.0)[split.labels] ** -exponent
    return np.asarray(targets * (weights / weights.mean())[:, None], np.float32)


def teacher_labels(teachers: Sequence[LogitsModel], views: Views, progress: Progress | None = None) -> Targets:
    """The mean probabilities that teachers give, over the classes of the split: to each view of each image, (views, N,
    classes), or without a number of views to the image and its mirror image, (N, classes).

    progress: (images shown, of all). Raises OptionError like `columns_taught`, ModelError for one that gives NaN.
    """
    split = views.split
    of_teachers = [(teacher, columns_taught(teacher, split)) for teacher in teachers]
    shown, to_show = 0, (views.number or 2) * len(split)

    def say(pixels: Pixels) -> Targets:
        nonlocal shown
        given = [
            softmax(require_numbers(teacher.logits(pixels)[:, columns], teacher.metadata.name or "a teacher"))
            for teacher, columns in of_teachers
        ]
        shown += len(pixels)
        if progress:
            progress(shown, to_show)
        return np.asarray(np.mean(given, axis=0), np.float32)

    soft = np.zeros((views.number or 1, len(split), len(split.classes)), np.float32)
    if not views.number:
        for start in range(0, len(split), CHUNK):
            images = split.images[start : start + CHUNK]
            soft[0, start : start + CHUNK] = (say(images) + say(np.ascontiguousarray(images[:, :, ::-1]))) / 2
        return np.asarray(soft[0])
    for view, of_view in enumerate(soft):
        for position in range(views.per_epoch):
            chosen, pixels, _ = views.batch(view, position)
            of_view[chosen] = say(pixels)
    return soft


def columns_taught(teacher: LogitsModel, split: Split) -> list[int]:
    """Where a teacher has the classes of a split.

    Raises OptionError when it lacks one of them, or takes another size or colour of image.
    """
    name, spec = teacher.metadata.name or "a teacher", teacher.metadata.input
    if spec.shape != split.images.shape[1:]:
        raise OptionError(f"{name} takes images of shape {spec.shape}, this training {split.images.shape[1:]}")
    try:
        return class_indices(split.classes, teacher.metadata.labels)
    except OptionError as error:
        raise OptionError(f"{name} cannot teach these classes: {error}") from error


def vote_labels(path: Path, split: Split) -> Targets:
    """The probability of each label given the annotators' votes, from a CSV with a column `file` and counts of votes.

    Annotators name other classes than the dataset does, and differ from its labels with a pattern: a logistic
    regression on shares and logarithms of the votes, fitted on the split itself, turns the ones into the others. So the
    classes of the votes may be any. A row is matched by the image's path in the dataset, else by its file name; an
    image without votes gets zeros.
    Raises DatasetError when the file cannot be read, or has votes for images of fewer than two classes, or when it does
    not say which image is meant.
    """
    counts = _vote_counts(path, split)
    voted = counts.any(axis=1)
    if len(np.unique(split.labels[voted])) < 2:
        raise DatasetError(
            f"{path} has votes for {voted.sum()} of the {len(split)} training images, matched by path or file name: "
            "at least two classes must have some"
        )
    from sklearn.linear_model import LogisticRegression

    counts = counts[voted]
    features = np.hstack([counts / counts.sum(axis=1, keepdims=True), np.log(counts + 0.5)])
    model = LogisticRegression(max_iter=1000).fit(features, split.labels[voted])
    soft = np.zeros((len(split), len(split.classes)), np.float32)
    soft[np.ix_(voted, model.classes_)] = model.predict_proba(features)
    return soft


def _vote_counts(path: Path, split: Split) -> NDArray[np.float64]:
    """(N, columns), zeros for an image without a row. Raises DatasetError for a file that is no table of votes."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            names = [name for name in columns if name != "file"]
            if not names or "file" not in columns:
                raise DatasetError(f"{path} needs a column `file` and at least one of votes")
            votes: dict[str, list[float]] = {}
            for row in reader:
                try:
                    given = [float(row[name]) for name in names]
                except (TypeError, ValueError) as error:
                    raise DatasetError(f"{path}, line {reader.line_num}: a number for each class is wanted") from error
                if votes.setdefault(row["file"], given) != given:
                    raise DatasetError(f"{path} has two rows for {row['file']} that differ: keep one")
    except OSError as error:
        raise DatasetError(f"cannot read votes from {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read votes from {path}: {error}") from error
    nothing = [0.0] * len(names)
    file_names = Counter(PurePosixPath(name).name for name in split.files)
    rows = []
    for image in split.files:
        file_name = PurePosixPath(image).name
        if image not in votes and file_name in votes and file_names[file_name] > 1:
            raise DatasetError(
                f"{path} has votes for {file_name}, the name of {file_names[file_name]} training images: "
                f"write paths as in the dataset, such as {image}"
            )
        rows.append(votes.get(image, votes.get(file_name, nothing)))
    counts = np.array(rows).reshape(-1, len(names))
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise DatasetError(f"{path} has votes that are negative or not numbers")
    return counts
