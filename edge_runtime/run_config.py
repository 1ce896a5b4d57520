"""What `run` is asked to do: one field per option, filled from the command line or a configuration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .errors import OptionError
from .smoothing import Smoothing


@dataclass(frozen=True)
class RunConfig:
    """Every option of `edge-emotion run`, with its default. Raises OptionError for a value out of range.

    detect_every: search for faces on each Nth frame and follow them in between; "auto" searches every frame of a file
    and keeps a live camera at its frame rate. max_frames: stop after so many; None never.
    """

    source: str
    model: str = "edge-m"
    classes: tuple[str, ...] | None = None
    detector: str = "auto"
    detect_every: int | Literal["auto"] = "auto"
    smoothing: Smoothing = field(default_factory=Smoothing)
    jsonl: str | None = None
    max_frames: int | None = None
    backend: str = "auto"
    threads: int = 1
    labels: str | None = None
    input: str | None = None

    def __post_init__(self) -> None:
        if not self.source:
            raise OptionError("--source is empty: a camera number (0), picamera, a video, a folder, or a URL")
        if self.detect_every != "auto" and not 1 <= self.detect_every <= 1000:
            raise OptionError(f"--detect-every takes 1 to 1000 frames or auto, got {self.detect_every}")
        if self.max_frames is not None and self.max_frames < 1:
            raise OptionError(f"--max-frames must be at least 1, got {self.max_frames}")
        if not 1 <= self.threads <= 64:
            raise OptionError(f"--threads must be 1 to 64, got {self.threads}")

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it writes to."""
        return tuple(Path(name) for name in (self.jsonl,) if name and name != "-")
