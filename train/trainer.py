"""Train a preset on a dataset, into a run folder that can be resumed.

Each epoch the averaged weights go into a float32 copy of the network. That copy is validated and, when it is the best
so far, saved: what is measured is what is shipped, on every backend and at every precision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.errors import EdgeEmotionError
from ..edge_runtime.evaluate import open_model
from ..edge_runtime.metadata import Measurement, ModelMetadata
from ..edge_runtime.metrics import Metrics, score, softmax
from ..edge_runtime.provenance import tool_versions
from .architectures import summary
from .batches import Batches, as_keras_dataset
from .checkpoint import LAST_FILE, MODEL_FILE, Checkpoint, EpochResult
from .config import TrainConfig
from .keras_model import KerasClassifier, import_keras, save
from .network import network, starting_point, training_network
from .presets import Preset
from .record import check_same_run, describe_device, run_record, write_record
from .run_data import RunData
from .runs import read_run
from .targets import load_targets, save_targets, training_targets


def train(
    config: TrainConfig,
    data: RunData,
    out: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochResult], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    on_start: Callable[[str, str], None] | None = None,
    on_teachers: Callable[[int, int], None] | None = None,
) -> Metrics:
    """Train, or go on with the run in `out`, and return the best epoch's validation metrics.

    on_start gets the model summary and the device; on_teachers (images asked about, of all); on_step (step,
    steps of the epoch); on_epoch each finished epoch.
    KeyboardInterrupt passes through: the finished epochs are kept and `resume` goes on from them.
    """
    keras = import_keras()
    keras.utils.set_random_seed(config.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    preset = config.preset
    soft = bool(config.teachers or config.votes)
    if resume and soft:
        targets = load_targets(out)
    else:
        targets = training_targets(data.train, config, [open_model(path) for path in config.teachers], on_teachers)
    batches = Batches(
        data.train, targets, preset.input, preset.batch_size, config.seed, preset.augmentation, preset.mixup
    )
    model = compiled(config, batches.per_epoch)
    export = network(config)
    model.optimizer.build(model.trainable_variables)
    state = Checkpoint()
    if resume:
        state = Checkpoint.load(out)
        models = read_run(out).get("models", {})
        check_same_run(out, config, data)
        _restore(model, state, out)
    else:
        models = {path: sha256(Path(path).read_bytes()).hexdigest() for path in config.models}
        if config.initial:
            model.set_weights(starting_point(config, Path(config.initial)).get_weights())
    out.mkdir(parents=True, exist_ok=True)
    if soft and not resume:
        save_targets(out, targets)
    if on_start:
        on_start(summary(export), describe_device(keras))
    metadata = ModelMetadata(
        labels=config.classes,
        input=preset.input,
        name=preset.name,
        training_data_sha256=data.train.sha256,
        tools=tool_versions(),
    )
    record = run_record(config, data, keras, model, models)
    write_record(out, record)
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
    record["best_epoch"] = state.best_epoch
    write_record(out, record)
    return metrics


def compiled(config: TrainConfig, steps_per_epoch: int) -> Any:
    """The network of a run as a `keras.Model`, with its optimiser and loss."""
    import keras

    preset = config.preset
    model = training_network(config)
    optimizer = _optimizer(keras, preset, steps_per_epoch)
    if config.precision == "mixed_float16":
        # Keras does this by itself only when the model, and not just its layers, carries the policy.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(
        optimizer=optimizer,
        loss=cross_entropy,
        metrics=["accuracy"],
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def cross_entropy(targets: Any, logits: Any) -> Any:
    """The loss of each row in nats, (N,). targets, logits: tensors (N, classes) of the backend, float32.

    Keras's own takes a row of targets for probabilities: on TensorFlow its gradient is softmax − targets, which is
    wrong for a row that sums to a weight. The one of this is weight × softmax − targets on every backend.
    """
    from keras import ops

    return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)


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


def _restore(model: Any, state: Checkpoint, out: Path) -> None:
    """Put the state into the network and its optimiser, loss scale and averages included."""
    variables = model.optimizer.variables
    if len(variables) != len(state.optimizer):
        raise EdgeEmotionError(f"{out} was trained by another version of edge-emotion or Keras: train anew")
    model.set_weights(state.weights)
    for variable, value in zip(variables, state.optimizer, strict=True):
        variable.assign(value)


def _epoch_end_callback(
    keras: Any,
    model: Any,
    export: Any,
    data: RunData,
    out: Path,
    state: Checkpoint,
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
            if not np.isfinite(logits).all():
                raise EdgeEmotionError(
                    f"epoch {epoch + 1}: the network gives NaN or infinity and cannot go on: train anew with a lower "
                    "learning_rate (--set learning_rate=…); the epochs before it are kept"
                )
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
            state.save(out)
            if on_epoch:
                on_epoch(row)

    return EpochEnd()


def averaged_weights(model: Any, to_numpy: Callable[[Any], NDArray[Any]]) -> list[NDArray[Any]]:
    """The model's weights in `get_weights` order, with the optimiser's running average where it keeps one."""
    averages = {}
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # what a LossScaleOptimizer wraps
    if optimizer.use_ema:
        tracked = zip(model.trainable_variables, optimizer._model_variables_moving_average, strict=True)
        averages = {id(variable): average for variable, average in tracked}
    return [np.asarray(to_numpy(averages.get(id(w), w)), np.float32) for w in model.weights]
