"""The files of a folder or dataset that are not used, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from .console import note, printable
from .errors import ImageError
from .preprocess import IMAGE_SUFFIXES

SHOWN = 5  # kinds of files, the most frequent first


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that lie directly in a folder, by name, but for hidden ones; what else is there is noted on stderr.

    Raises ImageError when there are none.
    """
    files = {path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}
    pictures = sorted(path for path in files if path.suffix.lower() in IMAGE_SUFFIXES)
    unused = summarise((path.name for path in files.difference(pictures)), ())
    if not pictures:
        but = f"; not used: {unused}" if unused else ""
        raise ImageError(
            f"folder {folder} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}; sub-folders are not read){but}"
        )
    if unused:
        note(printable(f"{folder}: not used: {unused}"))
    return pictures


def summarise(unused: Iterable[str], used: Iterable[str]) -> str:
    """Counts of unused files by their extension, of images by the topmost folder that has none in use; empty for none.

    unused, used: names inside the dataset, with forward slashes.

    >>> summarise(["sad/1.heic", "Testing/sad/1.png", "Testing/happy/1.png", "all.png"], ["sad/1.png", "happy/1.png"])
    '2 images in Testing/, 1 .heic file, 1 image outside class folders'
    """
    in_use = {PurePosixPath(), *(folder for name in used for folder in PurePosixPath(name).parents)}
    kinds = Counter(_kind(PurePosixPath(name), in_use) for name in unused)
    shown = [
        f"{n} {what if n == 1 else f'{what}s'}{where}"
        for (what, where), n in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    ]
    return ", ".join(shown + ["…"] * (len(kinds) > SHOWN))


def _kind(name: PurePosixPath, in_use: set[PurePosixPath]) -> tuple[str, str]:
    """Such as ('.heic file', '') or ('image', ' in Testing/')."""
    if name.suffix.lower() not in IMAGE_SUFFIXES:
        return (f"{name.suffix.lower()} file" if name.suffix else "file", "" if name.suffix else " without extension")
    unused = [folder for folder in name.parents if folder not in in_use]
    return "image", f" in {unused[-1]}/" if unused else " outside class folders"
