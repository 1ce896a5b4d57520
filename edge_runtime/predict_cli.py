"""`edge-emotion predict`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import console, options
from .parsing import declare, parse_classes

if TYPE_CHECKING:
    from .classifier import Prediction
    from .preprocess import Image


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE…", help="Pictures or folders of them; face crops with --no-detect."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A .tflite file, or the name of a bundled model.")
    ] = "edge-m",
    classes: options.Classes = None,
    detector: options.Detector = "auto",
    no_detect: Annotated[bool, typer.Option("--no-detect", help="Each image is a face crop already.")] = False,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write an annotated copy: a file, or a folder (one that is there, or no suffix)."),
    ] = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: options.Threads = 1,
    as_json: options.Json = False,
) -> None:
    """The apparent expression of each face in pictures: every class with its percentage, and the label.

    A folder's pictures are done by name, but for hidden ones and copies that `--save` made of others there; sub-folders
    are not read. A picture that is named twice is done once. More than one are summed up in a last line.

    A picture that cannot be read is left out (with `--json` it has an `error` and no faces), and the exit code is 1.

    Example: `edge-emotion predict photo.jpg --save annotated.jpg`
    """
    import cv2

    from .classifier import EmotionClassifier
    from .errors import ImageError
    from .faces import crop, open_detector
    from .preprocess import read_image

    images = _pictures(images)
    targets = {} if save is None else _targets(save, images)
    declared = declare(model, labels, input_spec)
    wanted = parse_classes(classes)
    cv2.setNumThreads(threads)
    console.quiet_opencv()
    failed: list[ImageError] = []
    documents: list[dict[str, Any]] = []
    with (
        _emitting(documents) if as_json else nullcontext(),
        EmotionClassifier(model, metadata=declared, classes=wanted, backend=backend, threads=threads) as classifier,
        open_detector("none" if no_detect else detector, backend=backend, threads=threads) as finder,
    ):
        margin = classifier.metadata.crop_margin
        for path in images:
            try:
                image = read_image(path)
            except ImageError as error:
                failed.append(error)
                documents.append({"image": console.printable(path), "faces": [], "error": console.printable(error)})
                continue
            results = [(face.box_xywh, classifier.predict(crop(image, face, margin))) for face in finder.detect(image)]
            documents.append(
                {
                    "image": console.printable(path),
                    "faces": [
                        {
                            "box_xywh": list(box),
                            "label": p.label,
                            "confidence": p.confidence,
                            "probabilities": p.probabilities,
                        }
                        for box, p in results
                    ],
                }
            )
            if target := targets.get(path):
                _save(target, image, results)
            if not as_json:
                _print(documents[-1], target)
    if not as_json and len(images) > 1:
        _sum_up(len(images) - len(failed), Counter(face["label"] for d in documents for face in d["faces"]))
    if failed and len(images) == 1:
        raise failed[0]
    if failed:
        raise ImageError(f"{len(failed)} of {len(images)} pictures not done: {'; '.join(map(str, failed))}")


@contextmanager
def _emitting(documents: list[dict[str, Any]]) -> Iterator[None]:
    """Emit what there is at the end, which may be Ctrl-C or an error."""
    try:
        yield
    finally:
        if documents:
            console.emit_json(documents)


def _pictures(named: list[Path]) -> list[Path]:
    """The pictures named, each once, in that order; a folder stands for those in it but for annotated copies of others.

    Raises ImageError for a folder without pictures.
    """
    from .leftovers import pictures_in

    unique: dict[str, Path] = {}
    for path in named:
        found = pictures_in(path) if path.is_dir() else [path]
        copies = {_copy_name(picture) for picture in found}
        pictures = [picture for picture in found if picture.name not in copies]
        if annotated := len(found) - len(pictures):
            console.note(console.printable(f"{path}: not used: {console.counted(annotated, 'annotated picture')}"))
        for picture in pictures:
            unique.setdefault(os.path.realpath(picture), picture)
    return list(unique.values())


def _copy_name(image: Path) -> str:
    """What the annotated copy of a picture is called in a folder."""
    return f"{image.stem}-annotated.jpg"


def _targets(save: Path, images: list[Path]) -> dict[Path, Path]:
    """Where the annotated copy of each picture goes.

    Raises OptionError when two would go to the same file, one to a picture that is read, or one to a file of a kind
    that OpenCV does not write.
    """
    from .errors import OptionError

    sources: dict[Path, Path] = {}
    if save.suffix and not save.is_dir():
        if len(images) > 1:
            raise OptionError(f"--save names one file, {save}, but there are {len(images)} images: name a folder")
        if not _can_encode(save.suffix):
            raise OptionError(f"--save {save}: OpenCV writes no colour pictures as {save.suffix}, use .jpg or .png")
        sources[save] = images[0]
    else:
        for image in images:
            target = save / _copy_name(image)
            if target in sources:
                raise OptionError(
                    f"--save: {sources[target]} and {image} would both become {target}: save them one by one"
                )
            sources[target] = image
    read = {os.path.realpath(image) for image in images}
    for target in sources:
        if os.path.realpath(target) in read:
            raise OptionError(f"--save would write over {target}, which is to be read: name another file or folder")
    return {image: target for target, image in sources.items()}


def _can_encode(suffix: str) -> bool:
    """Whether OpenCV writes colour pictures to files of this kind: about .xyz it raises an error, about .pgm none."""
    import cv2
    import numpy as np

    try:
        return cv2.imencode(suffix, np.zeros((1, 1, 3), np.uint8))[0]
    except cv2.error:
        return False


def _save(target: Path, image: Image, results: list[tuple[tuple[int, int, int, int], Prediction]]) -> None:
    """The picture with each face's box, label and confidence drawn in.

    Raises OutputError when the file cannot be written.
    """
    import cv2

    from .annotate import annotate
    from .atomic import write_atomically
    from .errors import OutputError

    drawn = annotate(image, [(box, f"{p.label} {100 * p.confidence:.0f} %") for box, p in results])
    _, encoded = cv2.imencode(target.suffix, drawn)
    try:
        write_atomically(target, encoded.tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _print(document: dict[str, Any], saved: Path | None) -> None:
    faces = document["faces"]
    console.emit(f"{document['image']}: {console.counted(len(faces), 'face')}")
    if not faces:
        console.emit("  no face found (--no-detect takes the whole image as one)")
    for face in faces:
        x, y, w, h = face["box_xywh"]
        console.emit(f"  {face['label']} {100 * face['confidence']:.1f} %   at x {x}, y {y}, {w}×{h} pixels")
        for label, p in face["probabilities"].items():
            console.emit(f"    {label:<10} {100 * p:5.1f} %  {'█' * round(30 * p)}")
    if saved:
        console.emit(f"  saved: {console.printable(saved)}")


def _sum_up(pictures: int, labels: Counter[str]) -> None:
    """Such as `3 pictures, 4 faces: happy 3, sad 1`, the most frequent label first."""
    by_label = ", ".join(f"{label} {n}" for label, n in labels.most_common())
    counts = f"{console.counted(pictures, 'picture')}, {console.counted(labels.total(), 'face')}"
    console.emit(f"{counts}: {by_label}" if by_label else counts)
