"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ..edge_runtime.errors import EdgeEmotionError
from ..edge_runtime.machine import python

COMMAND: tuple[str, ...] = (*python(), "-m", "edge_emotion.benchmarks.worker")
"""Starts a worker; tests put in one with a fake model and clock."""
PATIENCE_S = 120.0
"""An answer that takes this much longer than asked for will not come."""


class WorkerError(EdgeEmotionError):
    """The worker refused, crashed or hangs. Its row of the report says so, the others go on."""


class Worker:
    """A worker process. A context manager; closing ends the process."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in close)
        self._buffer = b""
        self._process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, bufsize=0
        )

    def ask(self, do: str, *, patience_s: float = PATIENCE_S, **arguments: Any) -> dict[str, Any]:
        """Send a request, wait for its answer. Raises WorkerError; `ended` tells a refusal from a crash."""
        line = json.dumps({"do": do, **arguments}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
        except OSError:
            raise WorkerError(self._epitaph()) from None
        answer: dict[str, Any] = json.loads(self._read_line(do, patience_s))
        if "error" in answer:
            raise WorkerError(str(answer["error"]))
        return answer

    @property
    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process and reap it."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _read_line(self, do: str, patience_s: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._process.kill()
                raise WorkerError(f"no answer to {do} within {patience_s:.0f} s: stopped")
            received = os.read(descriptor, 1 << 20)
            if not received:
                raise WorkerError(self._epitaph())
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _epitaph(self) -> str:
        """How the process ended, with the last thing it said."""
        code = self._process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._stderr.seek(0)
        said = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"the interpreter crashed ({how})" + (f": {said[-1].strip()[:200]}" if said else "")
