"""What `run` is asked to do: one field per option, filled from the command line or a configuration file."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import metadata, zoo
from .errors import ModelError, OptionError
from .labels import select_classes
from .parsing import declare, parse_classes
from .smoothing import Smoothing

PATHS = ("source", "model", "jsonl", "csv", "video", "mqtt_ca", "mqtt_password_file")
"""Options that name a file, or may."""

WHOLE_NUMBERS = ("threads", "keep", "max_frames")
NUMBERS = (*WHOLE_NUMBERS, "fps", "half_life", "margin", "settle", "unsettle", "rotate_mb", "aggregate")


@dataclass(frozen=True)
class RunConfig:
    """Every option of `edge-emotion run` with its default, named as there (`--max-frames` is `max_frames`).

    The values are Python's: `classes=("angry", "happy")`, `size=(640, 480)`, and `frames=False` for `--no-frames`.
    size (width, height) and fps are asked of a camera; wait: for a camera that is not there yet. detect_every: search
    for faces on each Nth frame and follow them in between; "auto" searches a live camera as often as its frame rate
    allows, and every frame of a file (every third with the slow Haar detector). half_life (seconds), margin, settle
    and unsettle: see `Smoothing`. jsonl and csv: a file, or - for stdout; rotate_mb: begin a new one at this size (0
    never), keeping `keep` old ones. video: a file. aggregate: write only counts and mean probabilities of so many
    seconds. max_frames: stop after so many; None never.

    Raises OptionError for a value out of range or written as on the command line, and for outputs that contradict each
    other.
    """

    source: str
    model: str = "edge-m"
    classes: tuple[str, ...] | None = None
    labels: str | None = None
    input: str | None = None
    backend: str = "auto"
    threads: int = 1
    device: str = "auto"
    size: tuple[int, int] | None = None
    fps: float | None = None
    wait: bool = False
    detector: str = "auto"
    detect_every: int | Literal["auto"] = "auto"
    half_life: float = 0.5
    margin: float = 0.1
    settle: float = 0.5
    unsettle: float = 0.4
    jsonl: str | None = None
    csv: str | None = None
    rotate_mb: float = 0.0
    keep: int = 10
    video: str | None = None
    show: bool = False
    web: str | None = None
    web_token: str | None = field(default=None, repr=False)
    frames: bool = True
    mqtt: str | None = None
    mqtt_ca: Path | None = None
    mqtt_password_file: Path | None = None
    aggregate: float | None = None
    max_frames: int | None = None

    @classmethod
    def from_options(
        cls,
        *,
        classes: str | None,
        size: str | None,
        detect_every: str,
        input_spec: str | None,
        no_frames: bool,
        **same: Any,
    ) -> RunConfig:
        """From the options of `run` as they are typed; `same` are those whose values need no reading.

        A path may begin with `~`, which a shell expands neither in a configuration file nor after `=`.
        """
        for name in PATHS:
            if same.get(name) is not None:
                kind = Path if name.startswith("mqtt") else str  # Typer before 0.29 leaves a checked path text
                same[name] = kind(os.path.expanduser(same[name]))
        kind, colon, path = same.get("detector", cls.detector).partition(":")
        same["detector"] = f"{kind}{colon}{os.path.expanduser(path)}"
        return cls(
            classes=parse_classes(classes),
            size=parse_size(size),
            detect_every=parse_detect_every(detect_every),
            input=input_spec,
            frames=not no_frames,
            **same,
        )

    def __post_init__(self) -> None:
        if not self.source:
            raise OptionError("--source is empty: a camera number (0), picamera, a video, a folder, or a URL")
        self._check_types()
        if self.detect_every != "auto" and not 1 <= self.detect_every <= 1000:
            raise OptionError(f"--detect-every takes 1 to 1000 frames or auto, got {self.detect_every}")
        if self.max_frames is not None and self.max_frames < 1:
            raise OptionError(f"--max-frames must be at least 1, got {self.max_frames}")
        if not 1 <= self.threads <= 64:
            raise OptionError(f"--threads must be 1 to 64, got {self.threads}")
        if self.size is not None and not all(16 <= side <= 8192 for side in self.size):
            raise OptionError(f"--size must be 16x16 to 8192x8192, got {self.size[0]}x{self.size[1]}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise OptionError(f"--fps must be above 0 and at most 1000, got {self.fps:g}")
        if not 0 <= self.rotate_mb < math.inf or self.keep < 1:
            raise OptionError(f"--rotate-mb must be 0 or more and --keep 1 or more, got {self.rotate_mb}, {self.keep}")
        self._check_companions()
        self._check_aggregate()
        self._check_files()
        _ = self.smoothing

    @property
    def smoothing(self) -> Smoothing:
        """How labels are steadied. Raises OptionError for values out of range."""
        return Smoothing(self.half_life, self.margin, self.settle, self.unsettle)

    @property
    def labels_in_order(self) -> tuple[str, ...]:
        """The labels that results will have.

        Raises ModelError when the model does not exist or does not say, OptionError for classes that it does not have.
        """
        found = declare(self.model, self.labels, self.input) or metadata.read(zoo.resolve(self.model))
        if found is None:
            raise ModelError(f"{self.model} holds no labels: give them with --labels")
        return select_classes(self.classes, found.labels) if self.classes else found.labels

    @property
    def is_live(self) -> bool:
        """Whether the source runs in its own time, so that a slow output must not hold it up."""
        from .cameras.choice import is_live

        return is_live(self.source)

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks on, so that a video plays in its own time."""
        return self.show or self.web is not None

    def _check_types(self) -> None:
        """Nothing that the command line would have read is still text."""
        if isinstance(self.classes, str):
            raise OptionError(f'classes is a tuple of labels, such as ("angry", "happy"), got {self.classes!r}')
        if isinstance(self.size, str):
            raise OptionError(f"size is (width, height), such as (640, 480), got {self.size!r}")
        if isinstance(self.detect_every, str) and self.detect_every != "auto":
            raise OptionError(f'detect_every is a number of frames or "auto", got {self.detect_every!r}')
        for name in NUMBERS:
            value, whole = getattr(self, name), name in WHOLE_NUMBERS
            if value is not None and not isinstance(value, int if whole else int | float):
                raise OptionError(f"{name} is a {'whole ' if whole else ''}number, got {value!r}")

    def _check_companions(self) -> None:
        """No option is there whose other half is not."""
        if self.web is None and (self.web_token is not None or not self.frames):
            raise OptionError("--web-token and --no-frames belong to the page: add --web HOST:PORT")
        if self.mqtt is None and (self.mqtt_ca or self.mqtt_password_file):
            raise OptionError("--mqtt-ca and --mqtt-password-file belong to a broker: add --mqtt URL")
        if self.rotate_mb and not {self.jsonl, self.csv} - {None, "-"}:
            raise OptionError("--rotate-mb belongs to a file: add --jsonl FILE or --csv FILE")
        if self.keep != RunConfig.keep and not self.rotate_mb:
            raise OptionError("--keep counts rotated files: add --rotate-mb MB")

    def _check_files(self) -> None:
        """No output goes to a file that is read, or to another output's."""
        files = {"model": self.model, "jsonl": self.jsonl, "csv": self.csv, "video": self.video}
        options: dict[str, str] = {} if self.is_live else {os.path.realpath(self.source): "source"}
        for option, file in files.items():
            other = options.setdefault(os.path.realpath(file), option) if file is not None else option
            if other != option:
                raise OptionError(f"--{other} and --{option} cannot share {file}: give --{option} another file")

    def _check_aggregate(self) -> None:
        if self.aggregate is None:
            return
        if not 1 <= self.aggregate <= 86_400:  # in less there can be one frame alone
            raise OptionError(f"--aggregate must be 1 to 86400 seconds, got {self.aggregate:g}")
        if self.video or self.show or self.web or self.mqtt:
            raise OptionError(
                "--aggregate keeps single faces out of every output: leave out --video, --show, --web and --mqtt"
            )
        if self.jsonl is None and self.csv is None:
            raise OptionError("--aggregate needs somewhere to write to: --jsonl FILE or --csv FILE")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`640x480` as (640, 480); None stays None. Raises OptionError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.lower())
    if match is None:
        raise OptionError(f"--size is written like 640x480, got {text!r}")
    return int(match[1]), int(match[2])


def parse_detect_every(text: str) -> int | Literal["auto"]:
    """`auto` or a number of frames. Raises OptionError."""
    if text == "auto":
        return "auto"
    if not text.isdecimal():
        raise OptionError(f"--detect-every takes a number of frames or auto, got {text!r}")
    return int(text)
