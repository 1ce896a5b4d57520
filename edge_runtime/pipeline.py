"""Camera ▸ faces ▸ crop ▸ classify ▸ track ▸ outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from .cameras import Camera, Frame, open_camera
from .classifier import EmotionClassifier, Prediction
from .faces import Face, FaceDetector, crop, open_detector
from .faces.whole import WholeImage
from .following import Follower
from .outputs.choice import open_outputs
from .outputs.output import Output, ViewerClosed
from .pace import Pace
from .parsing import declare
from .playback import Playback
from .preprocess import prepare
from .results import FrameResult, TrackedFace, utc_now
from .run_config import RunConfig
from .smoothing import Smoothing, SteadyLabel
from .tracking import Tracker


class Pipeline:
    """Iterate over it to get one `FrameResult` a frame; each also goes to the outputs. A context manager.

    >>> with Pipeline.open("0") as pipeline:      # doctest: +SKIP
    ...     for result in pipeline:
    ...         print([(face.id, face.label) for face in result.faces])

    It owns what it is given: `close` closes camera, detector, classifier and outputs. It is for one thread, except
    `stop`. playback: holds frames back until they are due; without one they come as fast as they can be worked on.
    """

    def __init__(
        self,
        camera: Camera,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        *,
        outputs: Sequence[Output] = (),
        tracker: Tracker | None = None,
        smoothing: Smoothing | None = None,
        detect_every: int | Literal["auto"] = 1,
        max_frames: int | None = None,
        playback: Playback | None = None,
    ) -> None:
        self.camera = camera
        self.detector = detector
        self.classifier = classifier
        self.outputs = tuple(outputs)
        self.tracker = tracker or Tracker()
        self._smoothing = smoothing or Smoothing()
        is_whole = isinstance(detector, WholeImage)  # the picture is the face: nothing moves in it
        self.pace = Pace(1 if is_whole else detect_every, detector.stride)
        self._follower = Follower()
        self._labels: dict[int, SteadyLabel] = {}
        self._frames_left = max_frames
        self._playback = playback
        self._stopped = False
        self._needs_image = any(output.needs_image for output in self.outputs)

    @classmethod
    def open(cls, source: str, **options: Any) -> Pipeline:
        """A pipeline on a source with fields of `RunConfig`, such as `model="edge-s"`, `size=(640, 480)`.

        It opens the outputs that they name, such as `csv="faces.csv"`.
        Raises what `RunConfig`, `open_outputs` and `from_config` raise.
        """
        config = RunConfig(source, **options)
        return cls.from_config(config, open_outputs(config))

    @classmethod
    def from_config(cls, config: RunConfig, outputs: Sequence[Output] = ()) -> Pipeline:
        """A pipeline as configured, with these outputs, which it closes, and none that the configuration names.

        What was opened is closed again on failure.
        """
        with ExitStack() as stack:
            for output in outputs:
                stack.callback(output.close)
            declared = declare(config.model, config.labels, config.input)
            classifier = stack.enter_context(
                EmotionClassifier(
                    config.model,
                    metadata=declared,
                    classes=config.classes,
                    backend=config.backend,
                    threads=config.threads,
                    device=config.device,
                )
            )
            detector = stack.enter_context(
                open_detector(config.detector, backend=config.backend, threads=config.threads)
            )
            colour = any(output.needs_image for output in outputs)
            camera = stack.enter_context(
                open_camera(config.source, colour=colour, size_wh=config.size, fps=config.fps, wait=config.wait)
            )
            pipeline = cls(
                camera,
                detector,
                classifier,
                outputs=outputs,
                smoothing=config.smoothing,
                detect_every=config.detect_every,
                max_frames=config.max_frames,
                playback=Playback() if config.is_watched and not camera.live else None,
            )
            stack.pop_all()
            return pipeline

    def __iter__(self) -> Iterator[FrameResult]:
        """Results until the source ends, `max_frames` are done, or `stop` is called."""
        while not self._stopped and self._frames_left != 0:
            started = perf_counter()
            frame = self.camera.read()
            if frame is None:
                return
            result = self.process(frame, capture_ms=_since_ms(started))
            if self._playback is not None:
                self._playback.wait(frame, lambda: self._stopped)
            try:
                for output in self.outputs:
                    output.write(result, frame.picture if self._needs_image else None)
            except ViewerClosed:
                self._stopped = True
            if self._frames_left is not None:
                self._frames_left -= 1
            yield result

    def process(self, frame: Frame, capture_ms: float = 0.0) -> FrameResult:
        """Everything that happens to one frame but the outputs.

        `latency_ms` of the result: capture (as given), detect (or follow), preprocess, classify, track, and their sum.
        """
        started = perf_counter()
        faces, searched = self._find(frame)
        latency = {"capture": capture_ms, "detect": _since_ms(started)}

        started = perf_counter()
        margin = self.classifier.metadata.crop_margin
        pixels = [prepare(crop(frame.image, face, margin), self.classifier.metadata.input) for face in faces]
        latency["preprocess"] = _since_ms(started)

        started = perf_counter()
        predictions = [self.classifier.predict_prepared(p) for p in pixels]
        latency["classify"] = _since_ms(started)

        started = perf_counter()
        tracked = self._track(faces, predictions, frame.time_s)
        latency["track"] = _since_ms(started)
        latency["total"] = sum(latency.values())
        if searched:
            others_ms = latency["preprocess"] + latency["classify"] + latency["track"]
            self.pace.learn(latency["detect"], others_ms, self._budget_ms)
        return FrameResult(
            source=frame.name or self.camera.source,
            frame=frame.index,
            time_s=round(frame.time_s, 6),
            faces=tracked,
            latency_ms={stage: round(ms, 4) for stage, ms in latency.items()},
            time=utc_now() if self.camera.live else None,
        )

    def stop(self) -> None:
        """End the iteration after the frame in hand. Safe in a signal handler and from other threads."""
        self._stopped = True
        self.camera.stop()

    def close(self) -> None:
        """Close camera, detector, classifier and outputs, each even when another fails."""
        with ExitStack() as stack:
            for close in (self.camera.close, self.detector.close, self.classifier.close):
                stack.callback(close)
            for output in self.outputs:
                stack.callback(output.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def _budget_ms(self) -> float:
        return 1000 / self.camera.fps if self.camera.live and self.camera.fps else 0.0

    def _find(self, frame: Frame) -> tuple[list[Face], bool]:
        """The faces of the frame, and whether it was searched; else those of the one before are followed."""
        if frame.cut:
            self.tracker.reset()
            self.pace.restart()
        if not self.pace.due():
            return self._follower.follow(frame.image), False
        faces = self.detector.detect(frame.image)
        self._follower.see(frame.image, faces)
        return faces, True

    def _track(
        self, faces: Sequence[Face], predictions: Sequence[Prediction], time_s: float
    ) -> tuple[TrackedFace, ...]:
        ids = self.tracker.update(faces, time_s)
        known = {track.id for track in self.tracker.tracks}
        self._labels = {id: label for id, label in self._labels.items() if id in known}
        return tuple(
            self._steady(id, face, prediction, time_s)
            for id, face, prediction in zip(ids, faces, predictions, strict=True)
        )

    def _steady(self, id: int, face: Face, prediction: Prediction, time_s: float) -> TrackedFace:
        steady = self._labels.setdefault(id, SteadyLabel(self._smoothing))
        values = steady.update(np.fromiter(prediction.probabilities.values(), np.float64), time_s)
        labels = self.classifier.labels
        return TrackedFace(
            id=id,
            box_xywh=face.box_xywh,
            label=labels[steady.index],
            confidence=float(values[steady.index]),
            state=steady.state,
            probabilities=dict(zip(labels, values.tolist(), strict=True)),
            raw_label=prediction.label,
        )


def _since_ms(started: float) -> float:
    return (perf_counter() - started) * 1000
