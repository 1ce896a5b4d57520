"""Run the pipeline at full speed for minutes, and see whether memory, file handles or threads grow.

    python tests/edge_runtime/soak.py VIDEO --model edge-m.tflite --minutes 30

The video is read again and again, opened anew each time as a camera that comes back would be. JSON lines and CSV are
written (and rotated) in a temporary folder. Exits 3 when the resident memory after the second minute grows by more
than 2 %, or a handle or thread leaks.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
from edge_emotion.edge_runtime.cameras import Camera, Frame
from edge_emotion.edge_runtime.cameras.video_file import VideoFile
from edge_emotion.edge_runtime.outputs.choice import open_outputs
from edge_emotion.edge_runtime.outputs.statistics import Statistics
from edge_emotion.edge_runtime.pipeline import Pipeline
from edge_emotion.edge_runtime.run_config import RunConfig

SETTLED_MIN = 2.0
ALLOWED_GROWTH = 0.02


class Endless(Camera):
    """A video file over and over; its time goes on."""

    live = False
    fps = 25.0

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self._path = path
        self._file = VideoFile(path)
        self._index = 0

    def read(self) -> Frame | None:
        frame = self._file.read()
        cut = frame is None
        if frame is None:
            self._file.close()
            self._file = VideoFile(self._path)
            frame = self._file.read()
        if frame is None:
            return None
        self._index += 1
        return Frame(frame.image, self._index - 1, (self._index - 1) / self.fps, cut=cut)

    def close(self) -> None:
        self._file.close()


def sample() -> tuple[float, int, int]:
    """Resident memory in MB, open file handles, threads (of the system, not only Python's)."""
    status = Path("/proc/self/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd")), int(fields["Threads"])


def main() -> int:
    """Run, print a line a minute, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--model", default="edge-m")
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--minutes", type=float, default=30.0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    samples: list[tuple[float, float, int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            str(arguments.video),
            model=arguments.model,
            detector=arguments.detector,
            jsonl=f"{folder}/soak.jsonl",
            csv=f"{folder}/soak.csv",
            rotate_mb=2,
            keep=2,
        )
        statistics = Statistics()
        with Pipeline.from_config(config, [statistics, *open_outputs(config)]) as pipeline:
            pipeline.camera.close()
            pipeline.camera = Endless(arguments.video)
            started = last = time.monotonic()
            for _ in pipeline:
                now = time.monotonic()
                if now - last >= 10:
                    last = now
                    samples.append(((now - started) / 60, *sample()))
                    if len(samples) % 6 == 0:
                        minute, rss, handles, threads = samples[-1]
                        print(
                            f"{minute:5.1f} min  {statistics.frames:8d} frames  {rss:7.1f} MB  {handles} handles  "
                            f"{threads} threads ({threading.active_count()} Python)",
                            flush=True,
                        )
                if now - started >= arguments.minutes * 60:
                    break
    settled = [s for s in samples if s[0] >= SETTLED_MIN]
    if len(settled) < 2:
        print("too short to judge: at least 3 minutes", file=sys.stderr)
        return 3
    base = settled[0][1]
    growth = max(s[1] for s in settled) / base - 1
    leaks = [name for name, i in (("handles", 2), ("threads", 3)) if settled[-1][i] > settled[0][i]]
    print(
        f"{statistics.frames} frames; memory after minute 2: {base:.1f} MB, growth {100 * growth:.2f} %; leaks: {leaks}"
    )
    return 3 if growth > ALLOWED_GROWTH or leaks else 0


if __name__ == "__main__":
    sys.exit(main())
