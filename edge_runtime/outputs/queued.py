"""An output on a thread of its own, so that a slow disk or encoder does not hold up the frames."""

from __future__ import annotations

import threading
from collections import deque

from ..console import note
from ..preprocess import Image
from ..results import FrameResult
from .output import Output

PATIENCE_S = 1.5  # with an output that takes nothing any more, when a live run ends


class Queued(Output):
    """Hands frames to another output through a bounded queue.

    wait: when the queue is full the pipeline waits (a file: nothing may be lost); otherwise the frame is dropped and
    counted (a live camera). `close` writes what is queued first, for a live camera as long as one frame is taken in
    1.5 s. An error of the output is raised by the next `write`.
    """

    def __init__(self, output: Output, *, wait: bool, limit: int = 64) -> None:
        self.needs_image = output.needs_image
        self.dropped = 0
        self._output = output
        self._wait = wait
        self._limit = limit
        self._queue: deque[tuple[FrameResult, Image | None]] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"output {type(output).__name__}", daemon=True)
        self._thread.start()

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Queue one frame."""
        with self._changed:
            while self._wait and len(self._queue) >= self._limit and self._error is None:
                self._changed.wait()
            self._raise_error()
            if len(self._queue) >= self._limit:
                self.dropped += 1
                return
            self._queue.append((result, image))
            self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued, close the output, and say how many frames were dropped."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        if self._is_written():
            self._output.close()
        if self.dropped:
            note(f"{type(self._output).__name__} was too slow for {self.dropped} frames, which it lacks")
        self._raise_error()

    def _is_written(self) -> bool:
        """Whether all that was queued got through; what did not counts as dropped, and the thread is left behind."""
        left = -1
        while self._thread.is_alive() and left != len(self._queue):
            left = len(self._queue)
            self._thread.join(None if self._wait else PATIENCE_S)
        if not self._thread.is_alive():
            return True
        self.dropped += len(self._queue)
        return False

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closing:
                    self._changed.wait()
                if not self._queue:
                    return
                result, image = self._queue[0]
            try:
                self._output.write(result, image)
            except Exception as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._queue.popleft()
                self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error
