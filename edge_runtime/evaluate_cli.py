"""`edge-emotion evaluate`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import console, options
from .parsing import declare, parse_classes

if TYPE_CHECKING:
    from .classifier import LogitsModel
    from .dataset import Split
    from .faces import FaceDetector


def evaluate(
    model: Annotated[str, typer.Argument(help="A .keras or .tflite file, or the name of a bundled model.")],
    data: options.Data,
    split: options.SplitName = "validation",
    classes: options.Classes = None,
    detector: Annotated[
        str | None, typer.Option(help="Also show each image to this face detector: what its framing costs.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(min=0, max=2, help="Crop margin for --detector instead of the model's own.")
    ] = None,
    stress: Annotated[
        bool, typer.Option("--stress", help="Also under blur, darkness, noise, … at three strengths each.")
    ] = False,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    as_json: options.Json = False,
) -> None:
    """Accuracy with its 95 % interval, macro-F1, recall by class, calibration and confusion, on every image of a split.

    Example: `edge-emotion evaluate edge-m --data faces.zip --classes angry,happy,neutral`
    """
    from .dataset import open_dataset
    from .errors import OptionError
    from .evaluate import evaluate as run
    from .evaluate import left_out, load_split_for, masked, note_left_out, open_model
    from .faces import open_detector

    if margin is not None and detector is None:
        raise OptionError("--margin is how a face that --detector found is cropped: add --detector")
    with console.foreign_output_to_stderr(), ExitStack() as stack:
        finder = stack.enter_context(open_detector(detector)) if detector is not None else None
        declared = declare(model, labels, input_spec)
        classifier = stack.enter_context(closing(open_model(model, declared, backend)))
        with console.progress("decoding") as bar:
            dataset = open_dataset(data)
            images = load_split_for(classifier, dataset, split, parse_classes(classes), bar)
        strange, unused = left_out(dataset, images), masked(classifier.metadata.labels, images)
        if classes is None:
            note_left_out(strange)
        if classes is None and unused:
            console.note(f"{data} has no images of {', '.join(unused)}: these outputs are masked")
        with console.progress("evaluating") as bar:
            result = run(classifier, images, bar)
        document = {"schema_version": 1, "model": model, **result.to_json(), "left_out": strange, "masked": unused}
        if finder is not None:
            seen = _through_detector(classifier, images, finder, margin)
            document["through_detector"] = {"detector": detector, **seen}
        if stress:
            document["stress"] = _under_stress(classifier, images)
        if as_json:
            console.emit_json(document)
        else:
            console.emit(f"{model} on {images.name} of {data}, n = {document['n']}")
            _print(document)


def _through_detector(
    classifier: LogitsModel, images: Split, detector: FaceDetector, margin: float | None
) -> dict[str, Any]:
    from .evaluate import evaluate as run
    from .framing import through_detector

    chosen = classifier.metadata.crop_margin if margin is None else margin
    with console.progress("detecting") as bar:
        framed = through_detector(images, classifier.metadata.input, detector, chosen, bar)
    own, same = run(classifier, framed.found).metrics, run(classifier, framed.same).metrics
    return {
        "crop_margin": chosen,
        "asked": framed.asked,
        "n": own.n,
        "accuracy": own.accuracy,
        "accuracy_ci95": list(own.accuracy_ci95),
        "accuracy_ready_made": same.accuracy,
    }


def _under_stress(classifier: LogitsModel, images: Split) -> dict[str, list[dict[str, float]]]:
    from .evaluate import evaluate as run
    from .stress import STRENGTHS, degrade

    table: dict[str, list[dict[str, float]]] = {}
    with console.progress("under stress") as bar:
        for done, (kind, strengths) in enumerate(STRENGTHS.items()):
            table[kind] = [
                {"strength": s, "accuracy": run(classifier, degrade(images, kind, s)).metrics.accuracy}
                for s in strengths
            ]
            bar(done + 1, len(STRENGTHS))
    return table


def _print(document: dict[str, Any]) -> None:
    console.emit(f"accuracy  {console.percent_ci(document['accuracy'], document['accuracy_ci95'])}")
    console.emit(f"macro-F1  {document['macro_f1']:.4f}")
    console.emit(f"ECE       {document['ece']:.4f}")
    if document["ties"]:
        console.emit(f"ties      {document['ties']}: two classes share the highest logit, and the first is the label")
    rows = [
        [
            name,
            console.percent(r["recall"], 1) if r["n"] else "–",
            console.percent(r["precision"], 1),
            f"{r['f1']:.3f}",
            str(r["n"]),
        ]
        for name, r in document["per_class"].items()
    ]
    console.emit("")
    console.emit(console.table(["class", "recall", "precision", "F1", "n"], rows))
    console.emit("\nconfusion (rows: true, columns: predicted)")
    rows = [[name, *map(str, row)] for name, row in zip(document["labels"], document["confusion"], strict=True)]
    console.emit(console.table(["", *(name[:8] for name in document["labels"])], rows))
    if seen := document.get("through_detector"):
        console.emit(
            f"\nthrough {seen['detector']}, crop margin {seen['crop_margin']:g}: found {seen['n']} of {seen['asked']}; "
            f"on these {console.percent_ci(seen['accuracy'], seen['accuracy_ci95'])}, "
            f"ready-made crops {console.percent(seen['accuracy_ready_made'])}"
        )
    if stressed := document.get("stress"):
        console.emit("\naccuracy under stress")
        rows = [[kind, *(console.percent(r["accuracy"]) for r in results)] for kind, results in stressed.items()]
        console.emit(console.table(["", "weak", "medium", "strong"], rows))
