"""A camera that runs in its own time: the newest frame wins, and a camera that disappears is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..console import note
from ..errors import DeviceError
from ..preprocess import Image
from .camera import Camera, Frame

POLL_S = 0.2  # how often a waiting `read` looks whether it was stopped


class Capture(Protocol):
    """An open device. `grab` blocks for at most some seconds."""

    fps: float

    def grab(self) -> tuple[Image, Image | None] | None:
        """The image to classify and, where that is grey, a colour one to show; None when the stream has ended.

        Raises DeviceError when the device fails.
        """
        ...

    def close(self) -> None:
        """Release the device."""
        ...


@dataclass(frozen=True)
class Patience:
    """How a lost camera is waited for: first and longest pause in seconds (each is twice the one before), and tries.

    tries: None for ever. A camera that does not come back within its tries has failed for good.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    tries: int | None = None

    def pause_s(self, failures: int) -> float:
        """The pause after so many failures in a row, 1 or more.

        >>> [Patience().pause_s(n) for n in (1, 2, 3, 20)]
        [0.5, 1.0, 2.0, 30.0]
        """
        return float(min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)))


class LiveCamera(Camera):
    """Reads a capture in a thread of its own, so that nothing downstream can stall it, and keeps only the newest frame.

    wait: a camera that is absent at the start is waited for like one that was lost; otherwise that raises.
    """

    live = True

    def __init__(
        self,
        source: str,
        open_capture: Callable[[], Capture],
        *,
        wait: bool = False,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.fps = 0.0
        self._open_capture = open_capture
        self._patience = patience or Patience()
        self._clock = clock
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._ended = False
        self._failure: Exception | None = None
        self._taken = 0
        self._cut = False
        first = None if wait else self._open()
        self._started = clock()
        self._thread = threading.Thread(target=self._work, args=(first,), name=f"camera {source}", daemon=True)
        self._thread.start()

    def read(self) -> Frame | None:
        """The newest frame not yet given, waiting for it; None when the stream ended in order or `stop` was called.

        Raises DeviceError when it was lost and did not come back.
        """
        with self._changed:
            while self._newest is None and not self._ended and not self._stopping.is_set():
                self._changed.wait(POLL_S)
            if self._stopping.is_set():
                return None
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                raise self._failure
            if frame is not None:
                self._taken += 1
            return frame

    def stop(self) -> None:
        """Make `read` return None within a fifth of a second."""
        self._stopping.set()

    def close(self) -> None:
        """Stop the thread, which releases the device; one that hangs in its driver is left behind after 1.5 s."""
        self._stopping.set()
        self._thread.join(timeout=1.5)

    def _open(self) -> Capture:
        capture = self._open_capture()
        self.fps = capture.fps
        return capture

    def _work(self, capture: Capture | None) -> None:
        try:
            self._keep_reading(capture)
        except Exception as error:  # a defect in a capture must reach the reader, not vanish with the thread
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _keep_reading(self, capture: Capture | None) -> None:
        failures = 0
        try:
            while not self._stopping.is_set():
                try:
                    if capture is None:
                        capture = self._open()
                        self._cut = True
                    grabbed = capture.grab()
                except DeviceError as error:
                    if capture is not None:
                        capture.close()
                        capture = None
                    failures += 1
                    self._wait(error, failures)
                    continue
                if grabbed is None:
                    break
                if failures:
                    note(f"camera {self.source} is back")
                failures = 0
                self._publish(*grabbed)
        finally:
            if capture is not None:
                capture.close()

    def _wait(self, error: DeviceError, failures: int) -> None:
        """Pause before the next try. Raises DeviceError when there is none left."""
        tries = self._patience.tries
        if tries is not None and failures > tries:
            raise DeviceError(f"{self.source} did not come back in {tries} tries: {error} (--wait tries for ever)")
        pause_s = self._patience.pause_s(failures)
        if failures == 1 or pause_s == self._patience.longest_s:
            note(f"camera {self.source}: {error}; trying again")
        self._stopping.wait(pause_s)

    def _publish(self, image: Image, colour: Image | None) -> None:
        with self._changed:
            index = self._taken
            if self._newest is not None:
                self._cut = self._cut or self._newest.cut
            self._newest = Frame(image, index, self._clock() - self._started, colour, cut=self._cut)
            self._cut = False
            self._changed.notify_all()
