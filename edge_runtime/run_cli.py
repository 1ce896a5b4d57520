"""`edge-emotion run`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import console, options


def run(
    source: Annotated[
        str,
        typer.Option("--source", "-s", help="Camera number (0), picamera, a video, a folder of pictures, or a URL."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A .tflite file, or the name of a bundled model.")
    ] = "edge-m",
    classes: options.Classes = None,
    detector: Annotated[str, typer.Option(help="Face detector: auto, blazeface, haar, yunet:PATH or none.")] = "auto",
    jsonl: Annotated[
        str | None, typer.Option("--jsonl", metavar="FILE", help="One JSON line a frame; - is stdout.")
    ] = None,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="Stop after so many frames.")] = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    backend: options.Backend = "auto",
    threads: options.Threads = 1,
) -> None:
    """Find faces in a camera, video or folder and say their apparent expressions, steadily.

    Example: `edge-emotion run --source 0 --jsonl faces.jsonl`
    """
    from .outputs.choice import open_outputs
    from .pipeline import Pipeline
    from .run_config import RunConfig

    config = RunConfig(
        source=source,
        model=model,
        classes=options.parse_classes(classes),
        detector=detector,
        jsonl=jsonl,
        max_frames=max_frames,
        labels=labels,
        input=input_spec,
        backend=backend,
        threads=threads,
    )
    frames = 0
    with Pipeline.from_config(config, open_outputs(config)) as pipeline:
        for result in pipeline:
            frames = result.frame + 1
    console.note(f"{frames} frames")
