"""Train a preset on a dataset, into a run folder that can be resumed.

Each epoch the averaged weights go into a float32 copy of the network. That copy is validated and, when it is the best
so far, saved: what is measured is what is shipped, on every backend and at every precision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.atomic import check_writable
from ..edge_runtime.console import Progress
from ..edge_runtime.errors import EdgeEmotionError, OptionError
from ..edge_runtime.evaluate import Evaluation, evaluate, open_model
from ..edge_runtime.metadata import Measurement, ModelMetadata
from ..edge_runtime.metrics import Metrics
from ..edge_runtime.provenance import tool_versions
from .architectures import MobileNet, summary
from .batches import Batches, as_keras_dataset
from .checkpoint import LAST_FILE, MODEL_FILE, Checkpoint, EpochResult
from .config import TrainConfig
from .keras_model import KerasClassifier, import_keras, save
from .network import network, starting_point, training_network
from .presets import Preset
from .record import check_same_models, check_same_run, describe_device, resumed_record, run_record, write_record
from .run_data import RunData
from .runs import any_epoch_finished
from .targets import (
    TARGETS_FILE,
    Targets,
    annotated_targets,
    columns_taught,
    load_targets,
    save_targets,
    training_targets,
)
from .views import Views


def train(
    config: TrainConfig,
    data: RunData,
    out: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochResult], None] | None = None,
    on_step: Progress | None = None,
    on_start: Callable[[str, str], None] | None = None,
    on_teachers: Progress | None = None,
) -> Metrics:
    """Train, or go on with the run in `out`, and return the best epoch's validation metrics.

    A run that finished no epoch begins again, with what it began with.
    on_start gets the model summary and the device; on_teachers (images shown to them, of all); on_step (step,
    steps of the epoch); on_epoch each finished epoch. What cannot be trained is refused before `out` is made, such as
    frozen convolutions without a start: OptionError, DatasetError or ModelError.
    KeyboardInterrupt passes through: the finished epochs are kept and `resume` goes on from them.
    """
    if not resume:
        _require_start(config)
    keras = import_keras()
    _make_reproducible(keras, config.seed)
    preset, state = config.preset, Checkpoint()
    if resume:
        check_same_run(out, config, data)
        if any_epoch_finished(out):
            state = Checkpoint.load(out)
    views = Views(data.train, preset.batch_size, config.seed, preset.augmentation, config.views)
    model = compiled(config, views.per_epoch)
    model.optimizer.build(model.trainable_variables)
    if state.history:
        _restore(model, state, out)
    elif config.initial:
        if resume:
            check_same_models(out, [config.initial])
        model.set_weights(starting_point(config, Path(config.initial)).get_weights())
    if config.soft and resume and (state.history or (out / TARGETS_FILE).exists()):
        targets = load_targets(out)  # its teachers need not be there any more
    else:
        if resume:
            check_same_models(out, config.teachers)
        targets = _targets(config, views, out, on_teachers)
    batches = Batches(views, targets, preset.input, preset.mixup)
    record = resumed_record(out, data, keras) if resume else run_record(config, data, keras, model)
    write_record(out, record)
    export = network(config)
    if on_start:
        on_start(summary(export), describe_device(keras))
    run = _Run(config, data, out, batches, model, export, state)
    run.fit(on_epoch, on_step)
    metrics = evaluate(KerasClassifier.open(out / MODEL_FILE), data.validation).metrics
    record["metrics"] = {"split": data.validation.name, **metrics.to_json()}
    record["epochs_done"] = len(state.history)
    record["best_epoch"] = state.best.epoch if state.best else None
    write_record(out, record)
    return metrics


def _require_start(config: TrainConfig) -> None:
    architecture = config.preset.architecture
    if isinstance(architecture, MobileNet) and architecture.frozen and not config.initial:
        raise OptionError(
            f"the first {architecture.frozen} convolutions of {config.preset.name} keep the weights they begin with: "
            "start from trained ones with --from START.keras (made by python -m edge_emotion.train.face_weights), "
            "or train all with --set architecture.frozen=0"
        )


@dataclass
class _Run:
    """A run under way. model learns, at the run's precision; export is the float32 copy that is measured and saved."""

    config: TrainConfig
    data: RunData
    out: Path
    batches: Batches
    model: Any
    export: Any
    state: Checkpoint

    @cached_property
    def metadata(self) -> ModelMetadata:
        """What the saved models say of themselves, but for what was measured."""
        return ModelMetadata(
            labels=self.config.classes,
            input=self.config.preset.input,
            name=self.config.preset.name,
            training_data_sha256=self.data.train.sha256,
            tools=tool_versions(),
        )

    def fit(self, on_epoch: Callable[[EpochResult], None] | None, on_step: Progress | None) -> None:
        """Train the epochs that are missing."""
        done, epochs = len(self.state.history), self.config.preset.epochs
        if done >= epochs:
            return
        feed = as_keras_dataset(self.batches, done * self.batches.per_epoch)
        try:
            self.model.fit(
                feed,
                epochs=epochs,
                initial_epoch=done,
                steps_per_epoch=self.batches.per_epoch,
                callbacks=[_epoch_end(self, on_epoch, on_step)],
                shuffle=False,  # Batches does it, as a function of the step
                verbose=0,
            )
        finally:
            feed.close()

    def finish_epoch(self, loss: float, accuracy: float, seconds: float) -> EpochResult:
        """Measure what was learnt, save it, and with it all that going on needs.

        Raises EdgeEmotionError when the network gives numbers no more.
        """
        import keras

        to_numpy, validation = keras.ops.convert_to_numpy, self.data.validation
        epoch = len(self.state.history) + 1
        self.export.set_weights(averaged_weights(self.model, to_numpy))
        logits = KerasClassifier(self.export, self.metadata).logits(validation.images)
        if not np.isfinite(logits).all():
            raise EdgeEmotionError(
                f"epoch {epoch}: the network gives NaN or infinity and cannot go on: train anew with a lower "
                "learning_rate (--set learning_rate=…); the epochs before it are kept"
            )
        result = Evaluation.of_logits(validation, logits)
        metrics = result.metrics
        given = np.maximum(result.probabilities[np.arange(len(validation)), validation.labels], 1e-12)
        row = EpochResult(
            epoch=epoch,
            loss=loss,
            accuracy=accuracy,
            val_loss=float(-np.log(given).mean()),
            val_accuracy=metrics.accuracy,
            images_per_s=len(self.data.train) / seconds,
            learning_rate=float(to_numpy(self.model.optimizer.learning_rate)),
        )
        measured = Measurement(validation.name, metrics.n, metrics.accuracy, metrics.accuracy_ci95, validation.sha256)
        metadata = replace(self.metadata, measured=measured)
        best = self.state.best
        if best is None or row.rank > best.rank:
            save(self.export, self.out / MODEL_FILE, metadata)
        save(self.export, self.out / LAST_FILE, metadata)
        self.state.history.append(row)
        self.state.weights = [to_numpy(v) for v in _variables(self.model)]
        self.state.optimizer = [to_numpy(v) for v in self.model.optimizer.variables]
        self.state.save(self.out)
        return row


def _epoch_end(run: _Run, on_epoch: Callable[[EpochResult], None] | None, on_step: Progress | None) -> Any:
    """A Keras callback that tells of each step and finishes each epoch."""
    import keras

    class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if on_step:
                on_step(batch + 1, run.batches.per_epoch)

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            seconds = time.perf_counter() - self.started
            row = run.finish_epoch(float(logs["loss"]), float(logs["accuracy"]), seconds)
            if on_epoch:
                on_epoch(row)

    return EpochEnd()


def _make_reproducible(keras: Any, seed: int) -> None:
    """Seed Keras, and let TensorFlow compute in the same order each time."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _targets(config: TrainConfig, views: Views, out: Path, on_teachers: Progress | None) -> Targets:
    """What is learnt, soft targets kept in `out`. That is made when all else is checked, before teachers are asked."""
    annotated = annotated_targets(views.split, config)
    with ExitStack() as stack:
        teachers = [stack.enter_context(closing(open_model(path))) for path in config.teachers]
        for teacher in teachers:
            columns_taught(teacher, views.split)
        check_writable(out)
        try:
            targets = training_targets(annotated, views, config, teachers, on_teachers)
        except BaseException:
            with suppress(OSError):
                out.rmdir()  # which only an empty folder lets happen
            raise
    if config.soft:
        save_targets(out, targets)
    return targets


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
    total = preset.epochs * steps_per_epoch
    warmup = min(preset.warmup_epochs * steps_per_epoch, total // 2)  # a short run must come down again
    if preset.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=preset.learning_rate / 10 if warmup else preset.learning_rate,
            decay_steps=max(1, total - warmup),
            warmup_target=preset.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    average: dict[str, Any] = {}
    if preset.average_momentum:  # a short run would not outgrow the weights it began with
        average = {"use_ema": True, "ema_momentum": min(preset.average_momentum, total / (total + 10))}
    common = {"weight_decay": preset.weight_decay or None, **average}
    if preset.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(rate, **common)
    elif preset.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, **common)
    else:
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _restore(model: Any, state: Checkpoint, out: Path) -> None:
    """Put the state into the network and its optimiser, loss scale and averages included."""
    for variables, values in ((_variables(model), state.weights), (model.optimizer.variables, state.optimizer)):
        if len(variables) != len(values):
            raise EdgeEmotionError(f"{out} was trained by another version of edge-emotion or Keras: train anew")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _variables(model: Any) -> list[Any]:
    """What training changes in a network: its weights in `get_weights` order, then the random states of dropout."""
    weights = {id(variable): variable for variable in model.weights}
    return [*weights.values(), *(variable for variable in model.variables if id(variable) not in weights)]


def averaged_weights(model: Any, to_numpy: Callable[[Any], NDArray[Any]]) -> list[NDArray[Any]]:
    """The model's weights in `get_weights` order, with the optimiser's running average where it keeps one."""
    averages = {}
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # what a LossScaleOptimizer wraps
    if optimizer.use_ema:
        tracked = zip(model.trainable_variables, optimizer._model_variables_moving_average, strict=True)
        averages = {id(variable): average for variable, average in tracked}
    return [np.asarray(to_numpy(averages.get(id(w), w)), np.float32) for w in model.weights]
