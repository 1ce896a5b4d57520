"""By hand: what the page costs the pipeline. `python measure_page.py MODEL.tflite PICTURE [FPS] [SECONDS] [ROUNDS]`

A camera of FPS frames a second (default 30; 0: as fast as it goes) shows the picture to detector, classifier and page,
first with nobody watching, then with one viewer that stopped reading and ten that read, each with picture and events.
Viewers run in a process of their own. The rounds alternate, because the machine may be busy with other things.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from edge_emotion.edge_runtime.cameras import Frame
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.faces import open_detector
from edge_emotion.edge_runtime.outputs.web import WebOutput
from edge_emotion.edge_runtime.pipeline import Pipeline
from edge_emotion.edge_runtime.preprocess import read_image

VIEWERS = """
import selectors, socket, sys
port = int(sys.argv[1]); kept = []; chooser = selectors.DefaultSelector()
for viewer in range(11):
    for path in ("/picture", "/events"):
        s = socket.create_connection(("127.0.0.1", port)); kept.append(s)
        s.sendall(b"GET %b HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n" % path.encode())
        if viewer: chooser.register(s, selectors.EVENT_READ)
total = 0
while True:
    for key, _ in chooser.select():
        if not key.fileobj.recv(1 << 16): sys.exit()
"""


class Still:
    """A camera that shows one picture at a rate."""

    source, live = "still", True

    def __init__(self, picture: object, fps: float, seconds: float) -> None:
        self.fps, self._picture = fps, picture
        self._end, self._next, self._index = time.monotonic() + seconds, time.monotonic(), 0

    def read(self) -> Frame | None:
        if time.monotonic() > self._end:
            return None
        if self.fps:
            self._next = max(self._next + 1 / self.fps, time.monotonic() - 1 / self.fps)
            time.sleep(max(0.0, self._next - time.monotonic()))
        self._index += 1
        return Frame(self._picture, self._index, self._index / 30)  # type: ignore[arg-type]

    def stop(self) -> None: ...

    def close(self) -> None: ...


def measure(model: str, picture: str, fps: float, seconds: float, watched: bool) -> tuple[float, float]:
    image = cv2.resize(read_image(Path(picture)), (640, 480))
    with WebOutput("127.0.0.1:0") as web:
        viewers = None
        if watched:
            viewers = subprocess.Popen([sys.executable, "-c", VIEWERS, str(web.port)])
            time.sleep(1)
        camera = Still(image, fps, seconds)
        pipeline = Pipeline(camera, open_detector("haar"), EmotionClassifier(model), outputs=[web])  # type: ignore[arg-type]
        started, cpu = time.monotonic(), time.process_time()
        frames = sum(1 for _ in pipeline)
        spent = time.monotonic() - started
        result = frames / spent, (time.process_time() - cpu) / spent
        if viewers is not None:
            viewers.kill()
            viewers.wait()
    return result


if __name__ == "__main__":
    model, picture = sys.argv[1:3]
    fps, seconds, rounds = (float(v) for v in [*sys.argv[3:], *("30", "10", "4")[len(sys.argv) - 3 :]])
    ratios, costs = [], []
    for number in range(int(rounds)):
        rates, cores = zip(*(measure(model, picture, fps, seconds, watched) for watched in (False, True)), strict=True)
        ratios.append(rates[1] / rates[0])
        costs.append(cores[1] / rates[1] - cores[0] / rates[0])
        frames_per_s, used = " → ".join(f"{r:.2f}" for r in rates), " → ".join(f"{c:.2f}" for c in cores)
        print(f"round {number + 1}, alone → watched: {frames_per_s} frames/s, {used} cores")
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    print(
        f"frame rate watched / alone: median {100 * (middle - 1):+.1f} % (quartiles {100 * (low - 1):+.1f} to "
        f"{100 * (high - 1):+.1f} %); processor time a frame: median {1000 * np.median(costs):+.2f} ms"
    )
