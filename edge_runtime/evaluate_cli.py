"""`edge-emotion evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import console, options


def evaluate(
    model: Annotated[str, typer.Argument(help="A .keras or .tflite file, or the name of a bundled model.")],
    data: options.Data,
    split: options.SplitName = "validation",
    classes: options.Classes = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: options.Threads = 1,
    as_json: options.Json = False,
) -> None:
    """Accuracy with its 95 % interval, macro-F1, recall by class, calibration and confusion, on every image of a split.

    Example: `edge-emotion evaluate edge-m.tflite --data faces.zip --classes angry,happy,neutral`
    """
    from .dataset import open_dataset
    from .evaluate import evaluate as run
    from .evaluate import load_split_for

    with console.foreign_output_to_stderr():
        classifier = open_model(model, labels, input_spec, backend, threads)
        with console.progress("decoding") as bar:
            images = load_split_for(classifier, open_dataset(data), split, options.parse_classes(classes), bar)
        with console.progress("evaluating") as bar:
            result = run(classifier, images, bar)
        if as_json:
            console.emit_json({"schema_version": 1, "model": model, **result.to_json()})
            return
        metrics = result.metrics
        console.emit(f"{model} on {images.name} of {data}, n = {metrics.n}")
        console.emit(f"accuracy  {console.percent_ci(metrics.accuracy, metrics.accuracy_ci95)}")
        console.emit(f"macro-F1  {metrics.macro_f1:.4f}")
        console.emit(f"ECE       {metrics.ece:.4f}\n")
        rows = [
            [name, console.percent(r.recall, 1), console.percent(r.precision, 1), f"{r.f1:.3f}", str(r.n)]
            for name, r in metrics.per_class.items()
        ]
        console.emit(console.table(["class", "recall", "precision", "F1", "n"], rows))
        console.emit("\nconfusion (rows: true, columns: predicted)")
        rows = [[name, *map(str, row)] for name, row in zip(metrics.labels, metrics.confusion, strict=True)]
        console.emit(console.table(["", *(name[:8] for name in metrics.labels)], rows))


def open_model(model: str, labels: str | None, input_spec: str | None, backend: str, threads: int) -> Any:
    """A `.keras` file through the training side, anything else through the TFLite classifier."""
    if Path(model).suffix in (".keras", ".h5", ".hdf5"):
        from importlib import import_module

        return import_module("edge_emotion.train.keras_model").KerasClassifier.open(Path(model))
    from .classifier import EmotionClassifier

    declared = options.parse_declared(labels, input_spec)
    return EmotionClassifier(model, metadata=declared, backend=backend, threads=threads)
