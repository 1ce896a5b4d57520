"""`edge-emotion inspect`: what a TFLite file is made of and where it runs. Loads no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..edge_runtime import metadata as model_metadata
from ..edge_runtime.classifier import to_logits
from ..edge_runtime.errors import ModelError
from ..edge_runtime.metadata import InputSpec, ModelMetadata
from ..edge_runtime.preprocess import Pixels, normalise
from ..edge_runtime.zoo import resolve
from .graph import Graph, read_graph
from .probe import probe
from .targets import Reference, Verdict, judge, noise_images

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Inspection:
    """A TFLite file's contents. contradictions: where its metadata and its tensors disagree; such a file is refused.

    metadata: the file's own, or what was declared in its place; None without either. compared_with: what the verdicts'
    agreement refers to.
    """

    path: Path
    size_bytes: int
    metadata: ModelMetadata | None
    conversion: Mapping[str, Any] | None
    graph: Graph
    contradictions: tuple[str, ...]
    runs_on: Mapping[str, Verdict]
    partitions: int
    compared_with: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict, the document of `inspect --json`."""
        graph = self.graph
        return {
            "schema_version": SCHEMA_VERSION,
            "model": str(self.path),
            "size_bytes": self.size_bytes,
            "metadata": self.metadata.to_json() if self.metadata else None,
            "conversion": dict(self.conversion) if self.conversion else None,
            "contradictions": list(self.contradictions),
            "operators": {name: {str(v): n for v, n in by.items()} for name, by in graph.operator_counts.items()},
            "tensor_types": tensor_types(graph),
            "inputs": [_describe(graph, index) for index in graph.inputs],
            "outputs": [_describe(graph, index) for index in graph.outputs],
            "macs": graph.macs,
            "weights_bytes": graph.weights_bytes,
            "arena_bytes": graph.arena_bytes,
            "subgraphs": graph.subgraphs,
            "min_runtime": graph.min_runtime,
            "partitions": self.partitions,
            "compared_with": self.compared_with,
            "runs_on": {target: verdict.to_json() for target, verdict in self.runs_on.items()},
        }


def inspect_model(model: Path | str, against: Path | None = None, declared: ModelMetadata | None = None) -> Inspection:
    """Read a TFLite file, try it on the runtimes that are here, and judge the rest by rules.

    against: a float TFLite file of the same model or a bundled one's name, whose answers are the right ones; by default
    the float32, else the float16 file beside it that was converted from the same source. It also tells the input of a
    file that carries no metadata.
    declared: in place of the file's own metadata. Raises ModelError when the file is not a TFLite model.
    """
    if against is not None:
        try:
            against = resolve(against)
        except ModelError as error:
            raise ModelError(f"--against: {error}") from error
    path = resolve(model)
    if not path.is_file():
        raise ModelError(f"{path} is not a file: inspect reads a .tflite")
    content = path.read_bytes()
    if not model_metadata.is_tflite(content):
        raise ModelError(f"{path} is not a TFLite file{': convert it first' if path.suffix == '.keras' else ''}")
    metadata = model_metadata.parse(content)
    graph = read_graph(content, path)
    if declared is not None:
        metadata = declared if metadata else dataclasses.replace(declared, precision="")  # which nobody said
    said_by = "the declaration" if declared else "its metadata"
    contradictions = _contradictions(graph, metadata, said_by) if metadata else ()
    effective = metadata or _borrowed(against, graph) or _guess(graph)
    reference = None
    runs_on: Mapping[str, Verdict] = {}
    partitions = 0
    if effective is not None and not contradictions:
        images = noise_images(effective)
        reference = _reference(against or _float_sibling(path, metadata), images, effective, asked=against is not None)
        runs_on, partitions = judge(content, graph, effective, images, reference)
    return Inspection(
        path,
        len(content),
        metadata,
        model_metadata.parse_conversion(content),
        graph,
        contradictions,
        runs_on,
        partitions,
        reference.name if reference else "",
    )


def tensor_types(graph: Graph) -> dict[str, dict[str, int]]:
    """`activations` and `constants` → type → how many tensors."""
    found: dict[str, dict[str, int]] = {}
    for kind, wanted in (("activations", False), ("constants", True)):
        counts = Counter(t.dtype.lower() for t in graph.tensors if (t.data is not None) == wanted)
        found[kind] = dict(sorted(counts.items()))
    return found


def _contradictions(graph: Graph, metadata: ModelMetadata, said_by: str = "") -> tuple[str, ...]:
    found = []
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        found.append(f"the file has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: one of each is needed")
        return tuple(found)
    shape = graph.tensors[graph.inputs[0]].shape
    if shape[1:] != metadata.input.shape:
        found.append(f"the file takes {shape}, {said_by} says (1, {', '.join(map(str, metadata.input.shape))})")
    outputs = graph.tensors[graph.outputs[0]].elements
    if outputs != len(metadata.labels):
        found.append(f"the file has {outputs} outputs, {said_by} {len(metadata.labels)} labels")
    return tuple(found)


def _borrowed(against: Path | None, graph: Graph) -> ModelMetadata | None:
    """The reference's metadata for a file that carries none, such as the one made for a Coral, if it fits."""
    other = model_metadata.read(against) if against is not None else None
    return other if other is not None and not _contradictions(graph, other) else None


def _guess(graph: Graph) -> ModelMetadata | None:
    """Stand-in metadata for a file that carries none, enough to run it on noise; None if it is no image classifier."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    shape, outputs = graph.tensors[graph.inputs[0]].shape, graph.tensors[graph.outputs[0]].elements
    if len(shape) != 4 or shape[3] not in (1, 3) or min(shape[1:]) < 1 or outputs < 2:
        return None
    spec = InputSpec(shape[2], shape[1], "grey" if shape[3] == 1 else "rgb")
    return ModelMetadata(tuple(f"output {i}" for i in range(outputs)), spec)


def _float_sibling(path: Path, metadata: ModelMetadata | None) -> Path | None:
    """`<name>-float32.tflite` beside the file, else `<name>-float16.tflite`, when both come from the same source model.

    None is found for a file that is as exact itself.
    """
    if metadata is None or not metadata.source_sha256:
        return None
    for precision in ("float32", "float16"):
        if metadata.precision == precision:
            return None
        sibling = path.with_name(f"{metadata.name}-{precision}.tflite")
        own = model_metadata.read(sibling) if sibling.exists() else None
        if own is not None and own.source_sha256 == metadata.source_sha256:
            return sibling
    return None


def _reference(path: Path | None, images: Pixels, metadata: ModelMetadata, asked: bool) -> Reference | None:
    if path is None:
        return None
    content = path.read_bytes()
    other = model_metadata.parse(content) or metadata
    result = probe(content, normalise(images, other.input), "litert")
    if result is None or result.outputs is None or result.outputs.shape != (len(images), len(metadata.labels)):
        if not asked:
            return None
        reason = "ai-edge-litert is not installed" if result is None else result.failure or "its outputs do not fit"
        raise ModelError(f"--against {path} gives no answers to compare with: {reason}")
    return Reference(images, to_logits(result.outputs, other), path.name)


def _describe(graph: Graph, index: int) -> dict[str, Any]:
    tensor = graph.tensors[index]
    return {
        "name": tensor.name,
        "type": tensor.dtype.lower(),
        "shape": list(tensor.shape),
        "scale": tensor.scales[0] if tensor.scales else None,
        "zero_point": tensor.zero_points[0] if tensor.zero_points else None,
    }
