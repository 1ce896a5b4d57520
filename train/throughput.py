"""Is it the input pipeline that limits training? `python -m edge_emotion.train.throughput --data faces.zip`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.cli import StageCommand, main
from ..edge_runtime.dataset import open_dataset
from .augment import Augmentation
from .batches import Batches
from .config import TrainConfig
from .keras_model import import_keras
from .presets import Preset, get_preset
from .record import describe_device
from .run_data import RunData, load_data
from .targets import hard_targets
from .trainer import compiled
from .views import Views

MIN_SECONDS, MIN_BATCHES = 3.0, 5

app = typer.Typer(add_completion=False)


@app.command(cls=StageCommand)
def throughput(
    data: options.Data,
    preset: Annotated[str, typer.Option(help="Whose batches, augmentation and network.")] = "edge-m",
    precision: Annotated[str, typer.Option(help="Of the training step.")] = "float32",
    as_json: options.Json = False,
) -> None:
    """Images/s of making batches without and with augmentation, and of the training step alone on a ready batch.

    Example: `python -m edge_emotion.train.throughput --data faces.zip --preset edge-s`
    """
    with console.foreign_output_to_stderr():
        dataset = open_dataset(data)
        config = TrainConfig(get_preset(preset), dataset.classes, precision=precision)
        keras = import_keras()
        with console.progress("decoding") as bar:
            run_data = load_data(dataset, config, bar)
        chosen = config.preset
        figures = {
            "batches": batches_per_s(chosen, run_data, None),
            "augmented batches": batches_per_s(chosen, run_data, chosen.augmentation),
            "training step": steps_per_s(config, run_data),
        }
        images = {name: rate * chosen.batch_size for name, rate in figures.items()}
        if as_json:
            console.emit_json({"schema_version": 1, "preset": preset, "images_per_s": images})
            return
        console.emit(
            f"{preset}, batch {chosen.batch_size}, {describe_device(keras)}, {precision}; batches in one thread"
        )
        console.emit(console.table(["", "images/s"], [[name, f"{rate:,.0f}"] for name, rate in images.items()]))


def batches_per_s(preset: Preset, data: RunData, augmentation: Augmentation | None) -> float:
    """How many batches one thread makes a second."""
    views = Views(data.train, preset.batch_size, 0, augmentation)
    batches = Batches(views, hard_targets(data.train), preset.input)
    steps = itertools.count()
    return _rate(lambda: batches[next(steps)])


def steps_per_s(config: TrainConfig, data: RunData) -> float:
    """How many training steps the backend makes a second on a batch that is ready."""
    preset = config.preset
    batches = Batches(Views(data.train, preset.batch_size, 0), hard_targets(data.train), preset.input)
    model = compiled(config, batches.per_epoch)
    images, targets = batches[0]
    return _rate(lambda: model.train_on_batch(images, targets))


def _rate(act: Callable[[], object]) -> float:
    """Calls a second, over at least MIN_SECONDS and MIN_BATCHES, after two calls to warm up."""
    act()
    act()
    calls, started = 0, time.perf_counter()
    while calls < MIN_BATCHES or time.perf_counter() - started < MIN_SECONDS:
        act()
        calls += 1
    return calls / (time.perf_counter() - started)


if __name__ == "__main__":
    main(app, "python -m edge_emotion.train.throughput")
