"""Train a preset on a dataset, into a run folder that can be resumed.

Each epoch the averaged weights go into a float32 copy of the network. That copy is validated and, when it is the best
so far, saved: what is measured is what is shipped, on every backend and at every precision.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import platform
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.dataset import Dataset, Split, require_every_class
from ..edge_runtime.errors import EdgeEmotionError, OptionError
from ..edge_runtime.metadata import Measurement, ModelMetadata, write_atomically
from ..edge_runtime.metrics import Metrics, score, softmax
from .architectures import summary
from .batches import Batches, as_keras_dataset
from .cleaning import Findings, clean
from .keras_model import KerasClassifier, import_keras, save
from .presets import Preset
from .runs import SCHEMA_VERSION, read_run

logger = logging.getLogger(__name__)

MODEL_FILE, LAST_FILE, RESUME_FILE = "model.keras", "last.keras", "resume.npz"
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class TrainConfig:
    """What a run is made of, apart from the data itself. Recorded in run.json and compared on resume.

    limit: images a class for (training, validation); None keeps all.
    """

    preset: Preset
    classes: tuple[str, ...]
    seed: int = 0
    precision: str = "float32"
    limit: tuple[int, int | None] | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise OptionError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "preset": self.preset.to_json(),
            "classes": list(self.classes),
            "seed": self.seed,
            "precision": self.precision,
            "limit": list(self.limit) if self.limit else None,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainConfig:
        """The inverse of `to_json`. Raises OptionError when a setting is malformed."""
        try:
            values = dict(document)
            values["preset"] = Preset.from_json(values["preset"])
            values["classes"] = tuple(values["classes"])
            values["limit"] = tuple(values["limit"]) if values["limit"] else None
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise OptionError(f"recorded settings are malformed: {error}") from error


@dataclass(frozen=True)
class EpochResult:
    """One row of history.csv. Losses are cross-entropies in nats; val_* are of the averaged float32 weights."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    images_per_s: float
    learning_rate: float

    def line(self, epochs: int) -> str:
        """One line for the terminal."""
        return (
            f"epoch {self.epoch:>3}/{epochs}  loss {self.loss:.4f}  accuracy {self.accuracy:.4f}  "
            f"val_loss {self.val_loss:.4f}  val_accuracy {self.val_accuracy:.4f}  {self.images_per_s:.0f} images/s"
        )


@dataclass(frozen=True)
class RunData:
    """The splits of a run after `--classes`, `--limit` and cleaning."""

    train: Split
    validation: Split
    findings: Findings | None
    dataset: Dataset


@dataclass
class _State:
    """Everything that changes from epoch to epoch."""

    history: list[EpochResult] = field(default_factory=list)
    weights: list[NDArray[Any]] = field(default_factory=list)
    optimizer: list[NDArray[Any]] = field(default_factory=list)

    @property
    def best(self) -> float:
        return max((row.val_accuracy for row in self.history), default=-1.0)


def load_data(dataset: Dataset, config: TrainConfig, progress: Callable[[int, int], None] | None = None) -> RunData:
    """Load, subset, limit and clean the splits. Raises DatasetError when a class has no image in one of them."""
    spec = config.preset.input
    train = dataset.load("train", spec, config.classes, progress)
    validation = dataset.load("validation", spec, config.classes, progress)
    if config.limit:
        train = train.limit(config.limit[0], config.seed)
        if config.limit[1] is not None:
            validation = validation.limit(config.limit[1], config.seed)
    findings = None
    if config.preset.clean:
        train, findings = clean(train, validation)
    require_every_class(train, "training")
    require_every_class(validation, "validation")
    return RunData(train, validation, findings, dataset)


def train(
    config: TrainConfig,
    data: RunData,
    out: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochResult], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_start: Callable[[str, str], None] | None = None,
) -> Metrics:
    """Train, or go on with the run in `out`, and return the best epoch's validation metrics.

    on_start gets the model summary and the device; on_step (step, steps of the epoch); on_epoch each finished epoch.
    KeyboardInterrupt passes through: the finished epochs are kept and `resume` goes on from them.
    """
    keras = import_keras()
    keras.utils.set_random_seed(config.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    preset = config.preset
    batches = Batches(data.train, preset.input, preset.batch_size, config.seed, preset.augmentation)
    model = compiled(config, batches.per_epoch)
    export = preset.architecture.build(preset.input, len(config.classes))
    model.optimizer.build(model.trainable_variables)
    state = _State()
    if resume:
        state = _load_state(out / RESUME_FILE)
        _check_same_run(out, config, data)
        model.set_weights(state.weights)
        for variable, value in zip(model.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
    out.mkdir(parents=True, exist_ok=True)
    if on_start:
        on_start(summary(export), describe_device(keras))
    metadata = ModelMetadata(
        labels=config.classes,
        input=preset.input,
        name=preset.name,
        training_data_sha256=data.train.sha256,
        tools=tool_versions(),
    )
    record = _run_record(config, data, keras, model)
    _write_json(out / "run.json", record)
    done = len(state.history)
    if done < preset.epochs:
        feed = as_keras_dataset(batches, done * batches.per_epoch)
        epoch_end = _epoch_end_callback(keras, model, export, data, out, state, metadata, batches, on_epoch, on_step)
        try:
            model.fit(
                feed,
                epochs=preset.epochs,
                initial_epoch=done,
                steps_per_epoch=batches.per_epoch,
                callbacks=[epoch_end],
                shuffle=False,  # Batches does it, as a function of the step
                verbose=0,
            )
        finally:
            feed.close()
    best = KerasClassifier.open(out / MODEL_FILE)
    metrics = score(softmax(best.logits(data.validation.images)), data.validation.labels, config.classes)
    record["metrics"] = {"split": data.validation.name, **metrics.to_json()}
    record["epochs_done"] = len(state.history)
    record["best_epoch"] = 1 + int(np.argmax([row.val_accuracy for row in state.history]))
    _write_json(out / "run.json", record)
    return metrics


def compiled(config: TrainConfig, steps_per_epoch: int) -> Any:
    """The network of a run as a `keras.Model`, with its optimiser and loss."""
    import keras

    preset = config.preset
    model = preset.architecture.build(preset.input, len(config.classes), config.precision)
    model.compile(
        optimizer=_optimizer(keras, preset, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=preset.label_smoothing),
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def describe_device(keras: Any) -> str:
    """What the backend computes on, such as `tensorflow on CPU (2 threads)` or `jax on NVIDIA H100`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    elif backend == "jax":
        import jax

        names = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    else:
        import torch

        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{backend} on {', '.join(names) if names else f'CPU ({platform.machine()})'}"


def tool_versions() -> dict[str, str]:
    """Versions of the packages that shape a model, those that are installed."""
    found = {}
    for name in ("edge-emotion", "keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _optimizer(keras: Any, preset: Preset, steps_per_epoch: int) -> Any:
    rate: Any = preset.learning_rate
    total, warmup = preset.epochs * steps_per_epoch, preset.warmup_epochs * steps_per_epoch
    if preset.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=preset.learning_rate / 10 if warmup else preset.learning_rate,
            decay_steps=max(1, total - warmup),
            warmup_target=preset.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    average = {"use_ema": True, "ema_momentum": preset.average_momentum} if preset.average_momentum else {}
    if preset.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, **average)
    optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=preset.weight_decay, **average)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _epoch_end_callback(
    keras: Any,
    model: Any,
    export: Any,
    data: RunData,
    out: Path,
    state: _State,
    metadata: ModelMetadata,
    batches: Batches,
    on_epoch: Callable[[EpochResult], None] | None,
    on_step: Callable[[int, int], None] | None,
) -> Any:
    """The callback that validates, saves and reports after each epoch."""
    to_numpy = keras.ops.convert_to_numpy

    class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if on_step:
                on_step(batch + 1, batches.per_epoch)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            seconds = time.perf_counter() - self.started
            export.set_weights(averaged_weights(model, to_numpy))
            logits = KerasClassifier(export, metadata).logits(data.validation.images)
            probabilities = softmax(logits)
            labels = data.validation.labels
            metrics = score(probabilities, labels, data.validation.classes)
            row = EpochResult(
                epoch=epoch + 1,
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
                val_loss=float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean()),
                val_accuracy=metrics.accuracy,
                images_per_s=len(data.train) / seconds,
                learning_rate=float(to_numpy(model.optimizer.learning_rate)),
            )
            measured = Measurement(
                data.validation.name, metrics.n, metrics.accuracy, metrics.accuracy_ci95, data.validation.sha256
            )
            if metrics.accuracy > state.best:
                save(export, out / MODEL_FILE, replace(metadata, measured=measured))
            save(export, out / LAST_FILE, replace(metadata, measured=measured))
            state.history.append(row)
            state.weights = [to_numpy(w) for w in model.weights]
            state.optimizer = [to_numpy(v) for v in model.optimizer.variables]
            _save_state(out / RESUME_FILE, state)
            _write_history(out / "history.csv", state.history)
            if on_epoch:
                on_epoch(row)

    return EpochEnd()


def averaged_weights(model: Any, to_numpy: Callable[[Any], NDArray[Any]]) -> list[NDArray[Any]]:
    """The model's weights in `get_weights` order, with the optimiser's running average where it keeps one."""
    averages = {}
    if model.optimizer.use_ema:
        tracked = zip(model.trainable_variables, model.optimizer._model_variables_moving_average, strict=True)
        averages = {id(variable): average for variable, average in tracked}
    return [np.asarray(to_numpy(averages.get(id(w), w)), np.float32) for w in model.weights]


def _save_state(path: Path, state: _State) -> None:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"weight{i}": w for i, w in enumerate(state.weights)}
    arrays |= {f"optimizer{i}": v for i, v in enumerate(state.optimizer)}
    history = json.dumps([row.__dict__ for row in state.history])
    np.savez(buffer, history=np.array(history), **arrays)
    write_atomically(path, buffer.getvalue())


def _load_state(path: Path) -> _State:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # numpy leaves a broken file open
            state = _State([EpochResult(**row) for row in json.loads(str(archive["history"]))])
            for prefix, target in (("weight", state.weights), ("optimizer", state.optimizer)):
                count = sum(name.startswith(prefix) for name in archive.files)
                target.extend(archive[f"{prefix}{i}"] for i in range(count))
            return state
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise EdgeEmotionError(f"nothing to resume in {path.parent}: {error}") from error


def read_history(out: Path) -> list[EpochResult]:
    """The finished epochs of a run folder. Raises EdgeEmotionError when there is no state in it."""
    return _load_state(out / RESUME_FILE).history


def _check_same_run(out: Path, config: TrainConfig, data: RunData) -> None:
    recorded = read_run(out)
    if recorded["config"] != json.loads(json.dumps(config.to_json())):
        raise EdgeEmotionError(f"{out} was trained with other settings: resume takes the ones in its run.json")
    if recorded["data"]["train_sha256"] != data.train.sha256:
        raise EdgeEmotionError(f"{out} was trained on other images than {data.dataset.path} now gives: train anew")


def _run_record(config: TrainConfig, data: RunData, keras: Any, model: Any) -> dict[str, Any]:
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    return {
        "schema_version": SCHEMA_VERSION,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": config.to_json(),
        "backend": keras.backend.backend(),
        "device": describe_device(keras),
        "parameters": {
            "total": model.count_params(),
            "trainable": trainable,
            "non_trainable": model.count_params() - trainable,
        },
        "data": {
            "path": str(data.dataset.path.resolve()),
            "sha256": data.dataset.sha256,
            "train_sha256": data.train.sha256,
            "validation_split": data.validation.name,
            "validation_made_from_train": data.dataset.made_validation,
            "validation_files_sha256": hashlib.sha256("\n".join(data.validation.files).encode()).hexdigest(),
            "train_counts": data.train.counts,
            "validation_counts": data.validation.counts,
            "left_out": data.findings.counts() if data.findings else None,
        },
        "versions": {"python": platform.python_version(), **tool_versions()},
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """The commit of the working directory, or None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _write_history(path: Path, history: Sequence[EpochResult]) -> None:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(history[0].__dict__))
    writer.writeheader()
    for row in history:
        writer.writerow({k: v if isinstance(v, int) else f"{v:.6g}" for k, v in row.__dict__.items()})
    write_atomically(path, buffer.getvalue().encode())


def _write_json(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode())
