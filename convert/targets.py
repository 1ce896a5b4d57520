"""Where a file runs: a verdict and its reason for each target. What can be run here is run, rules judge the rest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..edge_runtime.classifier import to_logits
from ..edge_runtime.edgetpu import CUSTOM_OP
from ..edge_runtime.metadata import ModelMetadata
from ..edge_runtime.preprocess import Pixels, normalise
from . import edgetpu
from .graph import Graph
from .layers import sqnr_db
from .probe import Probe, probe

MIN_AGREEMENT = 0.9
"""A file that agrees with the float model on fewer labels than this loads, and answers garbage."""

MIN_SQNR_DB = 6.0
"""So does one whose logits are off by more than half (a quarter in power); int8 files have about 30 dB."""

SOUND_SQNR_DB = 20.0
"""Logits that are off by less than a tenth are sound, however many near-ties become another label, as on noise."""

FULLY_CONNECTED_PER_CHANNEL = 12
"""Version of FULLY_CONNECTED with one weight scale a row: newer than tflite-runtime 2.14."""


@dataclass(frozen=True)
class Verdict:
    """Whether a target runs the file. `runs` and `fails` were tried here; `likely` and `unlikely` follow rules.

    `garbage`: it loads and answers, but not as the float model (or the other runtime) does.
    """

    verdict: Literal["runs", "fails", "garbage", "likely", "unlikely"]
    reason: str

    @property
    def is_unsound(self) -> bool:
        """Whether it was tried here, and does not run or does not answer as it should."""
        return self.verdict in ("fails", "garbage")

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"

    def to_json(self) -> dict[str, str]:
        """JSON-ready dict."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Reference:
    """Images, uint8 (N, H, W, C), and logits (N, classes) that a file's answers are held against."""

    images: Pixels
    logits: NDArray[np.float32]
    name: str = "the float model"


def noise_images(metadata: ModelMetadata, n: int = 32) -> Pixels:
    """Smooth random images, uint8 (n, H, W, C), for a file that comes without data; always the same ones."""
    rng = np.random.default_rng(0)
    height, width, channels = metadata.input.shape
    coarse = rng.integers(0, 256, (n, -(-height // 8), -(-width // 8), channels), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width])


def judge(
    tflite: bytes, graph: Graph, metadata: ModelMetadata, images: Pixels, reference: Reference | None = None
) -> tuple[dict[str, Verdict], int]:
    """Target → verdict, and the number of delegate partitions under LiteRT (0 where it is not installed).

    images are run where there is no reference; then the runtimes are held against each other.
    """
    if reference is not None:
        images = reference.images
    values = normalise(images, metadata.input)
    litert = probe(tflite, values, "litert")
    verdicts: dict[str, Verdict] = {}
    if litert is None:
        verdicts["litert"] = Verdict("likely", "ai-edge-litert is not installed here, so it was not run")
    else:
        verdicts["litert"] = _ran(litert, metadata, reference)
    if reference is None and litert is not None and litert.outputs is not None:
        reference = Reference(images, to_logits(litert.outputs, metadata), "LiteRT")
    old = probe(tflite, values, "tflite-runtime")
    verdicts["tflite-runtime 2.14"] = _by_version(graph) if old is None else _ran(old, metadata, reference)
    partitions = litert.partitions if litert is not None else 0
    verdicts["xnnpack int8"] = _xnnpack(graph, litert)
    verdicts["edgetpu"] = edge_tpu(graph)
    return verdicts, partitions


def edge_tpu(graph: Graph) -> Verdict:
    """`likely` or `unlikely` with the operator and the rule; only edgetpu_compiler knows."""
    found = edgetpu.objections(graph)
    if any(CUSTOM_OP.decode() in op.name for op in graph.operators):
        return Verdict("likely", "it is compiled for the Edge TPU; not run here")
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return Verdict("unlikely", f"{found[0].operator} {found[0].rule}{more}")
    cached = "they fit" if graph.weights_bytes <= edgetpu.CACHE_BYTES else "they do not fit, and are streamed"
    return Verdict(
        "likely",
        f"all {len(graph.operators)} operators keep the rules; {graph.weights_bytes / 2**20:.2f} MiB of weights: "
        f"{cached} in its {edgetpu.CACHE_BYTES / 2**20:.1f} MiB cache",
    )


def _ran(result: Probe, metadata: ModelMetadata, reference: Reference | None) -> Verdict:
    what = f"{result.runtime} {result.version}".strip()
    if result.outputs is None:
        return Verdict("fails", result.failure)
    if not np.isfinite(result.outputs).all():
        return Verdict("fails", f"{what} gives outputs that are not finite")
    if reference is None:
        return Verdict("runs", f"ran {len(result.outputs)} images on {what}; nothing to compare with")
    logits, right = _centred(to_logits(result.outputs, metadata)), _centred(reference.logits)
    agreement = float((logits.argmax(axis=1) == right.argmax(axis=1)).mean())
    closeness = sqnr_db(right, logits - right)
    said = f"{what} agrees with {reference.name} on {100 * agreement:.1f} % of {len(right)} images"
    sound = closeness >= SOUND_SQNR_DB or (agreement >= MIN_AGREEMENT and closeness >= MIN_SQNR_DB)
    return Verdict("runs" if sound else "garbage", f"{said}, logits within {closeness:.0f} dB")


def _centred(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the constant that a softmax does not see: logits and logarithms of probabilities become comparable."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True))


def _by_version(graph: Graph) -> Verdict:
    dense = max((op.version for op in graph.operators if op.name == "FULLY_CONNECTED"), default=0)
    if dense >= FULLY_CONNECTED_PER_CHANNEL:
        return Verdict("unlikely", f"FULLY_CONNECTED version {dense} is newer than tflite-runtime 2.14")
    stated = graph.min_runtime or "nothing"
    if graph.min_runtime and _version(graph.min_runtime) > (2, 14):
        return Verdict("unlikely", f"the file states {stated} as its minimum runtime")
    return Verdict(
        "likely", f"the file states {stated} as its minimum; tflite-runtime is not installed, so it was not run"
    )


def _xnnpack(graph: Graph, litert: Probe | None) -> Verdict:
    quantised = sum(graph.tensors[op.outputs[0]].dtype == "INT8" for op in graph.operators)
    if quantised == 0:
        return Verdict("unlikely", "no operator gives int8: this is a float or dynamic-range file")
    share = f"{quantised} of {len(graph.operators)} operators give int8"
    if litert is None or litert.outputs is None:
        return Verdict("likely", f"{share}; not run here")
    if litert.partitions == 1:
        return Verdict("runs", f"{share}, one delegate partition")
    if litert.partitions == 0:
        return Verdict("fails", f"{share}, but the delegate took none of the graph")
    return Verdict("runs", f"{share}, but the delegate split the graph into {litert.partitions} partitions: slower")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
