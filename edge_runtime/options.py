"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HIGHEST_SEED = 2**32 - 1
"""What NumPy and Keras take; a `--seed` is checked against it."""
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, and nothing else there.")]
Data = Annotated[Path, typer.Option("--data", help="Dataset: a folder or a .zip of class folders.")]
OptionalData = Annotated[Path | None, typer.Option("--data", help="Dataset: a folder or a .zip of class folders.")]
SplitName = Annotated[str, typer.Option("--split", help="Which split: train, validation or test.")]
Classes = Annotated[
    str | None, typer.Option("--classes", metavar="A,B,…", help="Only these classes, in this order. All by default.")
]
Backend = Annotated[str, typer.Option(help="TFLite runtime: auto, litert, tflite-runtime or tensorflow.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Cores to use.")]
Detector = Annotated[
    str, typer.Option(help="Face detector: auto (blazeface), blazeface-full, haar, yunet:PATH or none.")
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="A,B,…",
        help="Labels in output order: for a file without metadata, or in place of its own.",
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="WxH:COLOUR:LOW:HIGH",
        help="Input of a file without metadata, such as 64x64:grey:-1:1 (48x48:grey:0:1 when only labels are given).",
    ),
]
