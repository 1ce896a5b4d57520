"""What commands print: results on stdout, progress and messages on stderr, one JSON document when asked."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, TextIO

_real_stdout: TextIO | None = None
_redirecting = threading.RLock()  # two threads that redirect stderr at once would lose it for good

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


def emit(text: str) -> None:
    """A line of the result, on the real stdout."""
    print(text, file=_real_stdout or sys.stdout, flush=True)


def printable(text: object) -> str:
    r"""Text with what UTF-8 cannot carry as backslash escapes, such as in a file name that is not UTF-8.

    >>> printable("caf\udce9.png")
    'caf\\udce9.png'
    """
    return str(text).encode(errors="backslashreplace").decode()


def emit_json(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """The one JSON document of a command, on the real stdout. NaN never appears."""
    emit(json.dumps(document, indent=1, allow_nan=False))


def note(text: str) -> None:
    """A message that is not the result, on stderr. Nobody listening there is no reason to end what goes on."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def foreign_output_to_stderr() -> Iterator[None]:
    """While inside, what Keras, TensorFlow or native code prints on stdout lands on stderr; `emit` is unaffected."""
    global _real_stdout
    if _real_stdout is not None:  # already inside
        yield
        return
    sys.stdout.flush()
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        descriptor = None  # captured by a test or an embedding program
    saved = os.dup(descriptor) if descriptor is not None else None
    _real_stdout = sys.stdout
    if saved is not None:
        _real_stdout = os.fdopen(os.dup(saved), "w", encoding="utf-8", errors="backslashreplace")
    try:
        if descriptor is not None:
            os.dup2(2, descriptor)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        out, _real_stdout = _real_stdout, None
        out.flush()
        if descriptor is not None and saved is not None:
            os.dup2(saved, descriptor)
            os.close(saved)
            out.close()


@contextlib.contextmanager
def progress(description: str) -> Iterator[Progress]:
    """A progress bar on stderr when that is a terminal, else nothing. Yields the function that moves it."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A plain aligned table; the first `left` columns flush left, the others right.

    >>> print(table(["name", "n"], [["a", "10"], ["bcd", "5"]]))
    name   n
    a     10
    bcd    5
    """
    widths = [max(len(str(row[i])) for row in [headers, *rows]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = (
            str(c).ljust(w) if i < left else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in [headers, *rows])


def counted(number: int, what: str) -> str:
    """A number of things in words.

    >>> counted(1, "face"), counted(0, "face")
    ('1 face', '0 faces')
    """
    return f"{number} {what}{'' if number == 1 else 's'}"


def percent(fraction: float, digits: int = 2) -> str:
    """`0.675` as `67.50 %`."""
    return f"{100 * fraction:.{digits}f} %"


def percent_ci(fraction: float, interval: tuple[float, float]) -> str:
    """An accuracy with its interval: `67.50 % (65.9–69.0)`."""
    return f"{percent(fraction)} ({100 * interval[0]:.1f}–{100 * interval[1]:.1f})"


@contextlib.contextmanager
def quiet_native() -> Iterator[None]:
    """Hold back what is written to stderr, by native code and every thread; replayed only when the block raises."""
    with _redirecting, contextlib.ExitStack() as stack:
        try:
            stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
            held = stack.enter_context(_scratch())
            saved = os.dup(stderr)
        except (OSError, ValueError):
            yield
            return
        os.dup2(held.fileno(), stderr)
        try:
            yield
        except BaseException:
            os.dup2(saved, stderr)
            held.seek(0)
            with contextlib.suppress(OSError):
                os.write(stderr, held.read())
            raise
        finally:
            os.dup2(saved, stderr)
            os.close(saved)


def _scratch() -> BinaryIO:
    """A file in memory where there are such, as the disk may be full. Raises OSError when there can be none."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("held"), "w+b")
    return tempfile.TemporaryFile()


def quiet_opencv() -> None:
    """From here on OpenCV and its FFmpeg say nothing: who opens a source says what is wrong, and without its password.

    For threads, where `quiet_native` would swallow what others say. OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL in the
    environment win.
    """
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    if "OPENCV_LOG_LEVEL" not in os.environ:
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # which, depends on the version
        set_level(0)
