"""An int8 file for a Coral: compiled here where the compiler is, else made ready for it; its metadata stays with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.edgetpu import is_compiled
from ..edge_runtime.errors import ModelError
from .edgetpu import Compilation, compile_command, compile_model, objections
from .graph import read_graph

READY = "for-edgetpu"
"""Folder of the bare flatbuffers, made where there is no compiler."""


@dataclass(frozen=True)
class CoralFile:
    """What `--edgetpu` came to. path: the compiled file with its metadata, None where there is none yet.

    command: what compiles it. compilation: what the compiler said, None when it did not run here.
    """

    command: tuple[str, ...]
    path: Path | None = None
    compilation: Compilation | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "path": str(self.path) if self.path else None,
            "command": list(self.command),
            **(self.compilation.to_json() if self.compilation else {"compiled": self.path is not None}),
        }


def files_of(path: Path) -> tuple[Path, Path]:
    """Where `compile_file` puts what it makes of `X.tflite`: the compiled file, and the bare one for a compiler."""
    return path.with_name(f"{path.stem}_edgetpu.tflite"), path.parent / READY / path.name


def compile_file(path: Path) -> CoralFile:
    """Compile an int8 `X.tflite` to `X_edgetpu.tflite` beside it, with the same metadata inside.

    Without a compiler here a bare `for-edgetpu/X.tflite` is written for one elsewhere; a `X_edgetpu.tflite` that was
    compiled there and put beside the file gets the metadata. Raises ModelError for a file that cannot be compiled.
    """
    if not path.is_file():
        raise ModelError(f"model {path} does not exist")
    content = path.read_bytes()
    flatbuffer = model_metadata.strip(content)
    graph = read_graph(flatbuffer, path)
    if is_compiled(flatbuffer):
        raise ModelError(f"{path} is compiled for the Edge TPU already")
    types = {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)}
    if not types <= {"INT8", "UINT8"}:
        raise ModelError(f"{path} cannot be compiled for the Edge TPU: {objections(graph)[0].rule}")
    target, ready = files_of(path)
    compilation = compile_model(flatbuffer, path.stem)
    if compilation is not None:
        command = tuple(compile_command(path))
        if compilation.content is None:
            return CoralFile(command, None, compilation)
        _write(target, compilation.content, content, compilation.to_json())
        return CoralFile(command, target, compilation)
    command = tuple(compile_command(ready, path.parent))
    if not ready.exists() or ready.read_bytes() != flatbuffer:
        write_atomically(ready, flatbuffer)
        return CoralFile(command)  # a compiled file that lies there was made from another one
    if not target.exists() or not is_compiled(compiled := target.read_bytes()):
        return CoralFile(command)
    if model_metadata.parse(compiled) is None:
        _write(target, compiled, content, {"compiler": "elsewhere"})
    return CoralFile(command, target)


def _write(target: Path, compiled: bytes, source: bytes, said: dict[str, Any]) -> None:
    metadata = model_metadata.parse(source)
    if metadata is not None:
        record = {**(model_metadata.parse_conversion(source) or {}), "edgetpu": said}
        compiled = model_metadata.attach(compiled, metadata, record)
    write_atomically(target, compiled)
