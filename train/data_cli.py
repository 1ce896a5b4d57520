"""`edge-emotion data check` and `data fetch`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.errors import DatasetError, RuntimeMissingError

KAGGLE_HANDLE = "jonathanoheix/face-expression-recognition-dataset"
SHOWN = 10  # names of unreadable images printed; --json has them all

logger = logging.getLogger(__name__)

app = typer.Typer(
    help="Look at a dataset, or fetch one.", no_args_is_help=True, add_completion=False, rich_markup_mode="markdown"
)


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="Dataset: a folder or a .zip of class folders.")],
    as_json: options.Json = False,
) -> None:
    """Count images by split and class, and find blank, unreadable, repeated, contradicting, leaked and unused ones.

    Example: `edge-emotion data check faces.zip`
    """
    from ..edge_runtime.dataset import open_dataset
    from .dataset_report import report

    dataset = open_dataset(data)
    with console.progress("decoding") as bar:
        result = report(dataset, bar)
    if as_json:
        console.emit_json(result.to_json())
        return
    splits = result.splits
    made = " (validation made from the one pool: a stratified 10 %)" if dataset.made_validation else ""
    console.emit(f"{data}: {', '.join(dataset.classes)}{made}\n")
    rows = [[name, *(str(split.counts[name]) for split in splits)] for name in dataset.classes]
    rows.append(["all", *(str(sum(split.counts.values())) for split in splits)])
    for finding in ("unreadable", "blank", "repeats", "conflicts"):
        rows.append([finding, *(str(len(getattr(split, finding))) for split in splits)])
    console.emit(console.table(["images", *(split.name for split in splits)], rows))
    console.emit("")
    for (name, other), files in result.leaks.items():
        console.emit(f"{len(files)} {name} images are in {other} too")
    for split in splits:
        for file in split.unreadable[:SHOWN]:
            console.emit(f"unreadable: {file}")
        if len(split.unreadable) > SHOWN:
            console.emit(f"unreadable: … {len(split.unreadable) - SHOWN} more in {split.name} (--json names them)")
        for label, n in split.counts.items():
            if n == 0:
                console.emit(f"empty: {split.name} has no image of {label}")
    if dataset.unused:
        console.emit(f"not used: {dataset.leftovers}")
    console.emit(f"SHA-256 {dataset.sha256}")


@app.command()
def fetch(
    dest: Annotated[Path, typer.Argument(help="Folder to put the images in.")],
    handle: Annotated[str, typer.Option(help="Which Kaggle dataset, as OWNER/NAME.")] = KAGGLE_HANDLE,
    as_json: options.Json = False,
) -> None:
    """Download the face expression dataset from Kaggle (terms and licence are on its page there).

    Credentials, where Kaggle asks for them: a token file from kaggle.com/settings, or $KAGGLE_API_TOKEN.

    Example: `edge-emotion data fetch faces`
    """
    try:
        import kagglehub
    except ImportError as error:
        raise RuntimeMissingError.of_extra("train", "kagglehub is not installed") from error
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise DatasetError(f"{dest} exists and is not an empty folder: name a new one")
    with console.foreign_output_to_stderr():
        try:
            folder = kagglehub.dataset_download(handle, output_dir=str(dest))
        except Exception as error:  # kagglehub raises its own, requests' and OS errors
            raise DatasetError(f"cannot fetch {handle} from Kaggle: {_reason(error)}") from error
        if as_json:
            console.emit_json({"schema_version": 1, "handle": handle, "path": str(folder)})
        else:
            console.emit(f"{folder}\nlook at it with: edge-emotion data check {folder}")


def _reason(error: Exception) -> str:
    """What went wrong and how to mend it, without an HTTP client's page of detail."""
    logger.debug("kagglehub: %s", error)
    status = getattr(getattr(error, "response", None), "status_code", None)
    names = {kind.__name__ for kind in type(error).__mro__}
    if status in (401, 403) or names & {"CredentialError", "UnauthenticatedError"}:
        return (
            "it refused the credentials, or there are none: make a token at https://www.kaggle.com/settings "
            "and save it as ~/.kaggle/kaggle.json, or set KAGGLE_API_TOKEN"
        )
    if status == 404 or "NotFoundError" in names:
        return "there is no such dataset, or it is not public"
    if names & {"ConnectionError", "Timeout", "ConnectTimeout"}:
        return "no connection to kaggle.com: check the network, or download the zip in a browser and pass it as --data"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}{f': {error.filename}' if error.filename else ''}"
    return " ".join(str(error).split())[:200] or type(error).__name__
