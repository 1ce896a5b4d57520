"""The output seam."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from ..preprocess import Image
from ..results import FrameResult


class ViewerClosed(Exception):  # noqa: N818 (it is none)
    """Raised by `write` of an output that a person has closed, such as a window: the run ends as if the source had."""


class Output(Protocol):
    """Takes results as they come. A context manager; `close` flushes and releases.

    `write` never blocks the camera: an output that can be slow queues and counts its drops (disk) or keeps the
    newest alone (network, viewer). An implementation names this class as its base, which gives it the context manager.
    """

    needs_image: bool
    """Whether `write` wants the frame's pixels; without any such output colour conversion is skipped."""

    def write(self, result: FrameResult, image: Image | None) -> None:
        """One frame's result; image is uint8, BGR (H, W, 3) or grey (H, W), or None when no output needs it.

        The image is shared between outputs: it is read, never drawn on.
        """
        ...

    def close(self) -> None:
        """Flush and release. May be called twice."""
        ...

    def outcome(self) -> str:
        """A line for the summary of the run, asked for after `close`; empty when there is nothing to tell."""
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
