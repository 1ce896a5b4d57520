"""`edge-emotion demo`: the whole chain on drawn faces, offline."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.errors import INTERRUPTED, EdgeEmotionError

if TYPE_CHECKING:
    from ..benchmarks.config import BenchConfig


def demo(
    out: Annotated[Path | None, typer.Option(help="A new folder for everything made; demo/TIME by default.")] = None,
    images: Annotated[int, typer.Option(min=8, help="Training images a class.")] = 300,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the tiny preset's.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Timing of each file in the bench.")] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=options.HIGHEST_SEED, help="Of the drawings, the training and the calibration.")
    ] = 0,
    as_json: options.Json = False,
) -> None:
    """Draw faces, train a tiny network on them, convert it to four precisions and bench these. Minutes, offline.

    Example: `edge-emotion demo`
    """
    from ..benchmarks.config import BenchConfig
    from ..convert.lowering import require_tensorflow
    from ..edge_runtime.atomic import check_writable
    from .keras_model import import_keras
    from .plots import require_matplotlib

    say = console.note if as_json else console.emit
    timing = BenchConfig(seconds=seconds)
    out = out or Path("demo") / time.strftime("%Y%m%d-%H%M%S")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EdgeEmotionError(f"{out} is not an empty folder: name a new one with --out")
    with console.foreign_output_to_stderr():
        import_keras()
        require_matplotlib()
        require_tensorflow()
        check_writable(out)
        try:
            _chain(out, images, epochs, timing, seed, say, as_json)
        except KeyboardInterrupt:
            console.note(f"interrupted: what was made until now is in {out}/")
            raise typer.Exit(INTERRUPTED) from None


def _chain(
    out: Path,
    images: int,
    epochs: int | None,
    timing: BenchConfig,
    seed: int,
    say: Callable[[str], None],
    as_json: bool,
) -> None:
    from ..benchmarks.files import write_report
    from ..benchmarks.harness import run_bench
    from ..benchmarks.tables import render_table
    from ..convert.calibration import Calibration
    from ..convert.converter import convert_model
    from ..edge_runtime.dataset import open_dataset
    from .checkpoint import MODEL_FILE
    from .cli import train_and_plot
    from .config import TrainConfig
    from .drawn_faces import write_dataset
    from .presets import get_preset
    from .run_data import load_data

    started = time.monotonic()
    run = out / "run"
    with console.progress("drawing") as bar:
        write_dataset(out / "faces", images, seed=seed, progress=bar)
    dataset = open_dataset(out / "faces")
    preset = get_preset("tiny")
    config = TrainConfig(dataclasses.replace(preset, epochs=epochs or preset.epochs), dataset.classes, seed)
    with console.progress("decoding") as bar:
        data = load_data(dataset, config, bar)
    say(f"1/4  drawn: {images} training images of each of {len(dataset.classes)} expressions, in {out / 'faces'}/")
    say("\n2/4  training")
    train_and_plot(config, data, run, say, layers=False)
    say("\n3/4  converting")
    conversion = convert_model(
        run / MODEL_FILE,
        run,
        calibration=Calibration.from_split(data.train, seed=seed, validation=data.validation),
        validation=data.validation,
    )
    for output in conversion.outputs:
        say(f"{output.path}{'  REJECTED: ' + ', '.join(output.breaches) if output.rejected else ''}")
    say("\n4/4  benching")
    files = [output.path for output in conversion.outputs if not output.rejected]
    with console.progress("benching") as bar:
        report = run_bench(files, timing, dataset, progress=bar)
    write_report(report, out / "report")
    page = out / "report" / "report.html"
    if as_json:
        console.emit_json(
            {"schema_version": 1, "folder": str(out), "run": str(run), "report": str(page), "bench": report.to_json()}
        )
    else:
        say(f"\n{render_table(report)}")
    if report.interrupted:
        raise KeyboardInterrupt
    say(f"\nreport: {page}   ({time.monotonic() - started:.0f} s in all)")
    say("These are drawings: the accuracy says that the chain works, and nothing of real faces.")
    for line in _bundled():
        say(line)


def _bundled() -> list[str]:
    """What the models that come with this installation are, measured on real faces."""
    from ..edge_runtime import metadata
    from ..edge_runtime.zoo import bundled_models

    lines = []
    for name, path in bundled_models().items():
        known = metadata.read(path)
        measured = known.measured if known else None
        score = (
            f"{console.percent_ci(measured.accuracy, measured.accuracy_ci95)} on {measured.split}, n = {measured.n}"
            if measured
            else "not measured"
        )
        lines.append(f"bundled, trained on real faces: {name}, {path.stat().st_size / 1000:.0f} kB: {score}")
    if lines:
        lines.append("try: edge-emotion predict PHOTO --save annotated.jpg")
    return lines
