"""What a model file says of itself, inside the file.

A `.tflite` carries its metadata as a zip appended to the flatbuffer (members `metadata.json` and `labels.txt`): the
TFLite runtimes ignore bytes after the flatbuffer, and any zip tool reads them. A `.keras` file is a zip already and
gets one more member, `edge-emotion.json`. Both hold the same `ModelMetadata`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from .atomic import write_atomically
from .errors import ModelError

SCHEMA_VERSION = 1
RESIZE = "halve-then-linear-exact"
"""Name of the one resize method, `preprocess.resize`."""

_TFLITE_MEMBER = "metadata.json"
_KERAS_MEMBER = "edge-emotion.json"
_CONVERSION_MEMBER = "conversion.json"
_T = TypeVar("_T")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # fixed zip time: the same model gives the same bytes


@dataclass(frozen=True)
class InputSpec:
    """The image a model takes: size in pixels, colour, and the values that black (0) and white (255) map to."""

    width: int = 48
    height: int = 48
    colour: Literal["grey", "rgb"] = "grey"
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (0 < self.width <= 4096 and 0 < self.height <= 4096):
            raise ModelError(f"input size must be 1 to 4096 pixels, got {self.width}x{self.height}")
        if self.colour not in ("grey", "rgb"):
            raise ModelError(f"input colour must be grey or rgb, got {self.colour!r}")
        if not -math.inf < self.low < self.high < math.inf:
            raise ModelError(f"input range must be finite and rise, got {self.low} to {self.high}")

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.height, self.width, self.channels)

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height)."""
        return (self.width, self.height)


FACE_48 = InputSpec()
"""48×48 grey in [0, 1]: FER2013's own size. Quantised to int8 it is exactly pixel − 128."""

FACE_48_CENTRED = InputSpec(low=-1.0, high=127 / 128)
"""48×48 grey as (pixel − 128) / 128: mid-grey is 0, so what rounding a first kernel's weights shifts is small."""


@dataclass(frozen=True)
class Measurement:
    """An accuracy (0 to 1) measured on n images of a named split, with its 95 % interval and the data's hash."""

    split: str
    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    data_sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy_ci95", tuple(self.accuracy_ci95))
        if self.n < 0 or not 0.0 <= self.accuracy <= 1.0:
            raise ModelError(f"measurement out of range: accuracy {self.accuracy} on n = {self.n}")


@dataclass(frozen=True)
class ModelMetadata:
    """Everything the runtime must know to use a model, and where the model came from.

    labels are in output order. `outputs` says whether the last layer gives logits or probabilities; `temperature`
    divides the logits before the softmax. `crop_margin` is the fraction of the face box's longer side added on each
    side before cropping. `logit_bias`: class → what was added to its logit when the file was converted; it is in the
    file's outputs already. Hashes are SHA-256 in hex, empty when unknown.
    """

    labels: tuple[str, ...]
    input: InputSpec = FACE_48
    name: str = ""
    precision: str = "float32"
    outputs: Literal["logits", "probabilities"] = "logits"
    temperature: float = 1.0
    crop_margin: float = 0.0
    logit_bias: Mapping[str, float] = field(default_factory=dict)
    resize: str = RESIZE
    training_data_sha256: str = ""
    calibration_sha256: str = ""
    source_sha256: str = ""
    measured: Measurement | None = None
    min_runtime: str = ""
    tools: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels) or "" in self.labels:
            raise ModelError(f"labels must be two or more distinct names, got {list(self.labels)}")
        if any("\n" in label for label in self.labels):
            raise ModelError("a label may not contain a line break")
        if self.outputs not in ("logits", "probabilities"):
            raise ModelError(f"outputs must be logits or probabilities, got {self.outputs!r}")
        if not 0.0 < self.temperature < 1000.0:
            raise ModelError(f"temperature must be above 0 and below 1000, got {self.temperature}")
        if not 0.0 <= self.crop_margin <= 2.0:
            raise ModelError(f"crop margin must be 0 to 2, got {self.crop_margin}")
        for label, bias in self.logit_bias.items():
            if label not in self.labels or not abs(bias) < 1000.0:
                raise ModelError(f"logit bias must be a number below 1000 for a known label, got {label!r}: {bias}")
        if self.resize != RESIZE:
            raise ModelError(f"unknown resize {self.resize!r}: this version knows {RESIZE}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict, with `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self), "labels": list(self.labels)}

    def renamed(self, labels: Sequence[str]) -> ModelMetadata:
        """The same model with other names for its outputs, in their order. Raises ModelError for another number."""
        if len(labels) != len(self.labels):
            raise ModelError(
                f"the model has {len(self.labels)} outputs ({', '.join(self.labels)}), got {len(labels)} names"
            )
        new = dict(zip(self.labels, labels, strict=True))
        bias = {new[label]: value for label, value in self.logit_bias.items()}
        return dataclasses.replace(self, labels=tuple(labels), logit_bias=bias)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ModelMetadata:
        """The inverse of `to_json`. Unknown keys of a newer minor writer are ignored.

        Raises ModelError for another schema or a value out of range.
        """
        if document.get("schema_version") != SCHEMA_VERSION:
            raise ModelError(
                f"model metadata has schema {document.get('schema_version')!r}, this version reads {SCHEMA_VERSION}: "
                "update edge-emotion"
            )
        try:
            values = _known(cls, document)
            values["input"] = InputSpec(**_known(InputSpec, values.get("input", {})))
            if values.get("measured") is not None:
                values["measured"] = Measurement(**_known(Measurement, values["measured"]))
            return cls(**values)
        except (TypeError, AttributeError) as error:
            raise ModelError(f"model metadata is malformed: {error}") from error


def _known(kind: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a dataclass has a field for. Raises TypeError when they are no object."""
    if not isinstance(document, Mapping):
        raise TypeError(f"{document!r} is not an object")
    return {field.name: document[field.name] for field in dataclasses.fields(kind) if field.name in document}


def attach(tflite: bytes, metadata: ModelMetadata, conversion: Mapping[str, Any] | None = None) -> bytes:
    """The TFLite flatbuffer with the metadata appended; metadata that was there is replaced.

    conversion: how the file was made (recipe, calibration files), kept beside it as `conversion.json`.
    """
    buffer = io.BytesIO()
    buffer.write(strip(tflite))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_TFLITE_MEMBER, _EPOCH), json.dumps(metadata.to_json(), indent=1) + "\n")
        archive.writestr(zipfile.ZipInfo("labels.txt", _EPOCH), "\n".join(metadata.labels) + "\n")
        if conversion is not None:
            record = zipfile.ZipInfo(_CONVERSION_MEMBER, _EPOCH)
            archive.writestr(record, json.dumps(conversion, indent=1) + "\n", zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def is_tflite(content: bytes) -> bool:
    """Whether bytes carry TFLite's file identifier, with or without metadata appended."""
    return content[4:8] == b"TFL3"


def strip(tflite: bytes) -> bytes:
    """The flatbuffer alone, as a compiler wants it. Raises ModelError when the metadata behind it is damaged."""

    def start(archive: zipfile.ZipFile) -> int:
        return min((info.header_offset for info in archive.infolist()), default=archive.start_dir)

    return tflite[: _from_zip(io.BytesIO(tflite), start, "the model")]


def parse(tflite: bytes) -> ModelMetadata | None:
    """The metadata appended to a TFLite file's bytes, or None when there is none. Raises ModelError: it is damaged."""
    return _read_member(io.BytesIO(tflite), _TFLITE_MEMBER, "the model")


def parse_conversion(tflite: bytes) -> dict[str, Any] | None:
    """The record of how a TFLite file was made, or None when it carries none. Raises ModelError: it is damaged."""
    return _read_document(io.BytesIO(tflite), _CONVERSION_MEMBER, "the model")


def read(path: Path) -> ModelMetadata | None:
    """The metadata inside a `.tflite` or `.keras` file, or None when there is none. ModelError: it is damaged."""
    return _read_member(path, _KERAS_MEMBER if path.suffix == ".keras" else _TFLITE_MEMBER, path.name)


def embed_in_keras(path: Path, metadata: ModelMetadata) -> None:
    """Add the metadata to a `.keras` file that has none, atomically."""
    content = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(_KERAS_MEMBER, _EPOCH), json.dumps(metadata.to_json(), indent=1) + "\n")
    write_atomically(path, content.getvalue())


def _read_member(source: Path | io.BytesIO, member: str, name: str) -> ModelMetadata | None:
    document = _read_document(source, member, name)
    return None if document is None else ModelMetadata.from_json(document)


def _read_document(source: Path | io.BytesIO, member: str, name: str) -> dict[str, Any] | None:
    text = _from_zip(source, lambda archive: archive.read(member) if member in archive.namelist() else None, name)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ModelError(f"the metadata inside {name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"the metadata inside {name} is not a JSON object")
    return document


def _from_zip(source: Path | io.BytesIO, read: Callable[[zipfile.ZipFile], _T], name: str) -> _T | None:
    """What `read` finds in a file that ends in a zip, or None for one that does not."""
    try:
        if isinstance(source, Path):
            source.open("rb").close()  # is_zipfile would say no of a file that cannot be read
        if not zipfile.is_zipfile(source):
            return None
        with zipfile.ZipFile(source) as archive:
            return read(archive)
    except OSError as error:
        raise ModelError(f"cannot read {name}: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises eight kinds, depending on which byte is wrong
        raise ModelError(f"the metadata inside {name} is damaged ({error}): copy the file again") from error
