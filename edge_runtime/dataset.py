"""The one dataset reader: a folder or zip of class folders, its splits, and a decode-once cache.

Layouts found by themselves, at whatever depth:

- `…/train/<class>/*`, `…/validation/<class>/*`, `…/test/<class>/*` (also `training`, `val`, `valid`, `testing`): the
  Kaggle layout. Where several copies lie at different depths (`images/images`), the shallowest counts;
- `…/<class>/*`: one pool, of which a seeded, stratified 10 % is validation.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .atomic import write_atomically
from .console import Progress
from .errors import DatasetError, ImageError
from .labels import select_classes
from .leftovers import summarise
from .machine import cache_dir, usable_cores
from .metadata import FACE_48, InputSpec
from .preprocess import IMAGE_SUFFIXES, RESIZE_REVISION, Image, Pixels, decode, prepare

logger = logging.getLogger(__name__)

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
SPLITS: tuple[str, ...] = ("train", "validation", "test")
VALIDATION_FRACTION = 0.1
_ENCRYPTED = 0x1  # the bit of a zip member's flags, APPNOTE 4.4.4
_METHODS = {
    getattr(zipfile, name, None)
    for name in ("ZIP_STORED", "ZIP_DEFLATED", "ZIP_BZIP2", "ZIP_LZMA", "ZIP_ZSTANDARD")  # the last from Python 3.14 on
}


@dataclass(frozen=True, eq=False)
class Split:
    """The images of one split, prepared for one input.

    images: uint8, (N, H, W, C). labels: int64, (N,), positions in `classes`. files: their names inside the dataset.
    unreadable: names that could not be decoded and are not in `images`.
    """

    name: str
    classes: tuple[str, ...]
    images: Pixels
    labels: NDArray[np.int64]
    files: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> dict[str, int]:
        """Images of each class, in class order."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, counts, strict=True)}

    @cached_property
    def sha256(self) -> str:
        """Hash of the pixels and labels: what a measurement was made on. Computed once."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        digest.update(name_bytes(",".join(self.classes)))
        return digest.hexdigest()

    def take(self, indices: NDArray[Any]) -> Split:
        """The images at these positions (integers, or a boolean mask), in that order."""
        chosen = np.flatnonzero(indices) if indices.dtype == bool else indices
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            files=tuple(self.files[i] for i in chosen),
        )

    def limit(self, per_class: int, seed: int = 0) -> Split:
        """At most `per_class` images of each class, drawn with the seed, in dataset order."""
        rng = np.random.default_rng(seed)
        chosen: list[NDArray[np.int64]] = []
        for index in range(len(self.classes)):
            members = np.flatnonzero(self.labels == index)
            chosen.append(rng.permutation(members)[:per_class])
        return self.take(np.sort(np.concatenate(chosen)))


@dataclass(frozen=True)
class Dataset:
    """An index of a dataset: which files are there, by split and class. `load` decodes them.

    members: split name → class → sorted member names. unused: names of the files in none of them, but for hidden ones.
    sha256 covers every member's name and content.
    """

    path: Path
    classes: tuple[str, ...]
    members: dict[str, dict[str, tuple[str, ...]]]
    made_validation: bool = False
    unused: tuple[str, ...] = field(default=(), repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have images."""
        return tuple(self.members)

    @property
    def leftovers(self) -> str:
        """The unused files in words, such as `30 .heic files, 24 images in old/`; empty for none."""
        return summarise(self.unused, _names(self.members))

    @cached_property
    def sha256(self) -> str:
        """Hash of the names and bytes of all members, in hex. Computed once."""
        digest = hashlib.sha256()
        with _open(self.path, warn=True) as read:
            for name in _names(self.members):
                digest.update(name_bytes(f"{name}\0"))
                digest.update(hashlib.sha256(read(name)).digest())
        return digest.hexdigest()

    def resolve_split(self, name: str) -> str:
        """The split that serves as `name`: itself, or `test` as validation where only that exists.

        Raises DatasetError when there is none.
        """
        if name in self.members:
            return name
        if name == "validation" and "test" in self.members:
            return "test"
        mend = ""
        if name == "validation":
            folder = PurePosixPath(next(_names(self.members))).parents[1]
            where = self.path / folder if self.path.is_dir() else f"{folder} of the unpacked zip"
            mend = f"; point --data at {where} to have 10 % of it held back"
        raise DatasetError(f"{self.path} has no {name} split: it has {', '.join(self.splits)}{mend}")

    def load(
        self,
        split: str,
        spec: InputSpec = FACE_48,
        classes: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> Split:
        """Decode (or take from the cache) one split, prepared for `spec`, with the given classes in that order.

        Unreadable images are skipped with a warning. Raises DatasetError when nothing is left, or a class is unknown.
        """
        name = self.resolve_split(split)
        wanted = select_classes(classes, self.classes) if classes else self.classes
        images, readable = self._decoded(name, spec, progress)
        members = self.members[name]
        files: list[str] = []
        labels: list[int] = []
        keep: list[int] = []
        unreadable: list[str] = []
        position = 0
        for own in self.classes:
            for member in members.get(own, ()):
                if own in wanted:
                    if readable[position]:
                        files.append(member)
                        labels.append(wanted.index(own))
                        keep.append(position)
                    else:
                        unreadable.append(member)
                position += 1
        if unreadable:
            logger.warning("%d unreadable image(s) skipped in %s: %s", len(unreadable), name, _first(unreadable))
        if not files:
            raise DatasetError(f"the {name} split of {self.path} has no readable image of {', '.join(wanted)}")
        order = np.array(keep)
        return Split(name, wanted, images[order], np.array(labels, np.int64), tuple(files), tuple(unreadable))

    def _decoded(self, split: str, spec: InputSpec, progress: Progress | None) -> tuple[Image, NDArray[np.bool_]]:
        names = list(_names({split: self.members[split]}))
        key = json.dumps([self.sha256, names, spec.width, spec.height, spec.colour, RESIZE_REVISION])
        cached = cache_dir() / "decoded" / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
        try:
            with cached.open("rb") as file, np.load(file) as archive:
                return archive["images"], archive["readable"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            pass  # not there, or cut off: decode again
        images = np.zeros((len(names), *spec.shape), np.uint8)
        readable = np.zeros(len(names), np.bool_)

        def one(index: int, data: bytes) -> None:
            try:
                images[index] = prepare(decode(data, names[index]), spec)
                readable[index] = True
            except ImageError as error:
                logger.debug("%s", error)

        with _open(self.path) as read, ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(names), 512):
                chunk = [(i, read(names[i])) for i in range(start, min(start + 512, len(names)))]
                list(pool.map(lambda item: one(*item), chunk))
                if progress:
                    progress(min(start + 512, len(names)), len(names))
        _save_cache(cached, images, readable)
        return images, readable


def open_dataset(path: Path | str, validation_seed: int = 0) -> Dataset:
    """Find the images of a folder or zip. Nothing is decoded yet.

    Raises DatasetError: missing path, neither folder nor zip, no images in class folders, one class only, or an
    archive member that would leave the folder, is encrypted, or is packed in a way that Python does not read.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"dataset {path} does not exist")
    layouts: dict[tuple[str, ...], dict[str, dict[str, list[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    pools: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    names = [name for name in _list(path) if not _hidden(PurePosixPath(name).parts)]
    for name in names:
        parts = PurePosixPath(name).parts
        if PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES or len(parts) < 2:
            continue
        split = SPLIT_NAMES.get(parts[-3].lower()) if len(parts) >= 3 else None
        if split:
            layouts[parts[:-3]][split][parts[-2].lower()].append(name)
        elif parts[-2].lower() not in SPLIT_NAMES:  # a split's own images have no label
            pools[parts[:-2]][parts[-2].lower()].append(name)
    made_validation = False
    if layouts:
        chosen = layouts[min(layouts, key=lambda prefix: (len(prefix), prefix))]
        members = {split: chosen[split] for split in SPLITS if split in chosen}
    elif pools:
        pool = pools[min(pools, key=lambda prefix: (-len(pools[prefix]), len(prefix), prefix))]
        members = _stratify(pool, validation_seed)
        made_validation = True
    else:
        raise DatasetError(
            f"{path} has no images in class folders (looked for …/train/<class>/*.jpg and …/<class>/*.jpg)"
            f"{_but(summarise(names, ()))}"
        )
    classes = tuple(sorted({label for split in members.values() for label in split}))
    frozen = {
        split: {label: tuple(sorted(files)) for label, files in sorted(by_class.items())}
        for split, by_class in members.items()
    }
    used = set(_names(frozen))
    dataset = Dataset(path, classes, frozen, made_validation, tuple(name for name in names if name not in used))
    if len(classes) < 2:
        raise DatasetError(
            f"{path} has one class only ({classes[0]}): at least two class folders are needed{_but(dataset.leftovers)}"
        )
    if not path.is_dir():
        _require_readable(path, used)
    return dataset


def require_every_class(split: Split, purpose: str) -> None:
    """Raise DatasetError when a class has no image in this split."""
    missing = [name for name, n in split.counts.items() if n == 0]
    if missing:
        raise DatasetError(
            f"the {split.name} split has no image of {', '.join(missing)}, which {purpose} needs: "
            "add some, or leave the class out with --classes"
        )


def name_bytes(name: str) -> bytes:
    """A member's name in UTF-8; one that is in no such encoding as the bytes that it has on disk (PEP 383)."""
    return name.encode("utf-8", "surrogateescape")


def _but(leftovers: str) -> str:
    """What an error adds of the files that it could not use."""
    return f"; not used: {leftovers} (images are read as {', '.join(sorted(IMAGE_SUFFIXES))})" if leftovers else ""


def _first(texts: Sequence[str]) -> str:
    """The first three, as a warning shows them."""
    return ", ".join(texts[:3]) + (", …" if len(texts) > 3 else "")


def _save_cache(path: Path, images: Image, readable: NDArray[np.bool_]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, images=images, readable=readable)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        logger.warning("decoded images are not cached: %s (set EDGE_EMOTION_CACHE)", error.strerror or error)


def _stratify(pool: dict[str, list[str]], seed: int) -> dict[str, dict[str, list[str]]]:
    """Of each class the 10 % with the lowest seeded hash of their names go to validation, at least one of two."""
    train: dict[str, list[str]] = {}
    validation: dict[str, list[str]] = {}
    for label, files in pool.items():
        ranked = sorted(files, key=lambda name: hashlib.sha256(name_bytes(f"{seed}:{name}")).digest())
        held = max(1, round(len(ranked) * VALIDATION_FRACTION)) if len(ranked) > 1 else 0
        validation[label], train[label] = ranked[:held], ranked[held:]
    return {"train": train, "validation": validation}


def _names(members: dict[str, dict[str, tuple[str, ...]]]) -> Iterator[str]:
    for by_class in members.values():
        for files in by_class.values():
            yield from files


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _list(path: Path) -> list[str]:
    """Member names with forward slashes, relative to the dataset, files only."""
    if path.is_dir():
        return [file.relative_to(path).as_posix() for file in _files(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [_name(info) for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:  # the second: of a later version of the format
        raise DatasetError(f"{path} is neither a folder nor a readable zip: {error}") from error
    for name in names:
        if name.startswith("/") or ":" in name[:3] or ".." in PurePosixPath(name).parts:
            raise DatasetError(f"{path} holds {name!r}, which would leave the folder: refused")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DatasetError(f"{path} holds {twice[0]!r} more than once: refused")
    return names


def _require_readable(path: Path, used: Container[str]) -> None:
    """Raise DatasetError for the first of these members of a zip that needs a password or another program."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if _name(info) not in used:
                continue
            if info.flag_bits & _ENCRYPTED:
                raise DatasetError(
                    f"{path} holds {_name(info)!r}, which is encrypted: unpack it, and name the folder instead"
                )
            if info.compress_type not in _METHODS:
                raise DatasetError(
                    f"{path} holds {_name(info)!r}, packed with a method ({info.compress_type}) that Python does not "
                    "read: unpack it, and name the folder instead, or pack it anew as a plain zip"
                )


def _files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Files below a folder, also through links, except one to a folder that it lies in."""
    real = folder.resolve()
    if real in above:
        return
    try:
        entries = sorted(folder.iterdir())
    except PermissionError:  # such as the lost+found of a drive
        logger.warning("%s may not be read", folder)
        return
    for entry in entries:
        if entry.is_dir():
            yield from _files(entry, above | {real})
        elif entry.is_file():
            yield entry


def _name(info: zipfile.ZipInfo) -> str:
    """With forward slashes, which some programs of Windows do not write (APPNOTE 4.4.17.1 asks for them)."""
    return info.filename.replace("\\", "/")


def _open(path: Path, warn: bool = False) -> AbstractContextManager[Callable[[str], bytes]]:
    """What reads a member; a damaged one of a zip as no bytes. warn: of the damaged ones, once, when all are read."""
    if path.is_dir():
        return nullcontext(lambda name: (path / name).read_bytes())
    return _ZipReader(path, warn)


class _ZipReader:
    def __init__(self, path: Path, warn: bool) -> None:
        self._path = path
        self._warn = warn
        self._damaged: list[str] = []
        self._archive = zipfile.ZipFile(path)
        self._members = {_name(info): info for info in self._archive.infolist()}

    def __enter__(self) -> Callable[[str], bytes]:
        return self._read

    def __exit__(self, *exc: object) -> None:
        self._archive.close()
        if self._warn and self._damaged:
            n, shown = len(self._damaged), _first(self._damaged)
            logger.warning("%d damaged file(s) in %s cannot be unpacked: %s", n, self._path, shown)

    def _read(self, name: str) -> bytes:
        member = self._members[name]
        try:
            return self._archive.read(member)
        except Exception as error:  # of zipfile, or of any decompressor: zlib.error, EOFError, lzma.LZMAError, …
            self._damaged.append(f"{name} ({str(error) or type(error).__name__})")
            return b""
