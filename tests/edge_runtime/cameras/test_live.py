import threading
import time

import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras.live import Capture, LiveCamera, Patience
from edge_emotion.edge_runtime.errors import DeviceError
from edge_emotion.edge_runtime.preprocess import Image

QUICK = Patience(first_s=0.001, longest_s=0.004)


def level(value: int) -> tuple[Image, Image | None]:
    return np.full((4, 4), value, np.uint8), None


class Script(Capture):
    """Plays a list of frames, errors and ends, each when the test lets it: one permit a step."""

    fps = 30.0

    def __init__(self, steps: list[object], permits: threading.Semaphore) -> None:
        self.steps = steps
        self.permits = permits
        self.closed = 0

    def grab(self) -> tuple[Image, Image | None] | None:
        if not self.permits.acquire(timeout=5):
            raise AssertionError("the test let nothing through")
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return None if step is None else level(int(step))  # type: ignore[call-overload]

    def close(self) -> None:
        self.closed += 1


class Scripts:
    """Opens one script after the other; a step that is an error refuses to open."""

    def __init__(self, *scripts: list[object] | DeviceError) -> None:
        self.left = list(scripts)
        self.permits = threading.Semaphore(0)
        self.opened: list[Script] = []

    def __call__(self) -> Script:
        step = self.left.pop(0)
        if isinstance(step, DeviceError):
            raise step
        self.opened.append(Script(step, self.permits))
        return self.opened[-1]

    def let(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.permits.release()


def value(camera: LiveCamera) -> int:
    frame = camera.read()
    assert frame is not None
    return int(frame.image[0, 0])


def test_frames_come_with_rising_time_and_numbers_in_the_order_given() -> None:
    scripts = Scripts([1, 2, None])
    ticks = iter(range(100))
    with LiveCamera("0", scripts, patience=Patience(tries=0), clock=lambda: float(next(ticks))) as camera:
        assert camera.fps == 30
        scripts.let()
        first = camera.read()
        scripts.let()
        second = camera.read()
        scripts.let()
        assert camera.read() is None
    assert first is not None
    assert second is not None
    assert (first.index, second.index) == (0, 1)
    assert 0 < first.time_s < second.time_s
    assert not first.cut


def test_the_newest_frame_wins() -> None:
    scripts = Scripts([1, 2, 3, None])
    with LiveCamera("0", scripts, patience=Patience(tries=0)) as camera:
        scripts.let(4)
        camera._thread.join(5)  # all frames came before anyone looked
        assert value(camera) == 3
        assert camera.read() is None


def test_a_lost_camera_is_reported_and_tried_again_and_its_first_frame_is_a_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripts = Scripts([1, DeviceError("it gives no frames")], DeviceError("there is no camera"), [2, 3])
    with LiveCamera("0", scripts, patience=QUICK) as camera:
        scripts.let()
        assert value(camera) == 1
        scripts.let()
        scripts.let()
        frame = camera.read()
        assert frame is not None
        assert frame.cut
        assert frame.image[0, 0] == 2
        scripts.let()
        after = camera.read()
        assert after is not None
        assert not after.cut
    said = capsys.readouterr().err
    assert "camera 0: it gives no frames; trying again" in said
    assert "camera 0 is back" in said
    assert [script.closed for script in scripts.opened] == [1, 1] or scripts.opened[0].closed == 1


def test_a_camera_is_back_only_with_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    silent = DeviceError("it gives no frames")
    scripts = Scripts([1, silent], [silent], [silent], [2])
    with LiveCamera("0", scripts, patience=QUICK) as camera:
        scripts.let()
        assert value(camera) == 1
        scripts.let(3)
        while len(scripts.opened) < 4:
            time.sleep(0.001)
        assert "is back" not in capsys.readouterr().err
        scripts.let()
        assert value(camera) == 2
    assert capsys.readouterr().err.count("is back") == 1


def test_a_stream_that_does_not_come_back_has_failed() -> None:
    gone = DeviceError("it does not answer")
    scripts = Scripts([1, DeviceError("no more frames")], gone, gone)
    with LiveCamera("http://x/y", scripts, patience=Patience(0.001, 0.002, tries=2)) as camera:
        scripts.let(1)
        assert value(camera) == 1
        scripts.let(1)
        for _ in range(2):
            with pytest.raises(DeviceError, match=r"http://x/y did not come back in 2 tries: it does not answer"):
                camera.read()


def test_a_stream_that_ends_in_order_is_not_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    scripts = Scripts([1, None])
    with LiveCamera("http://x/y", scripts, wait=True) as camera:
        scripts.let(1)
        assert value(camera) == 1
        scripts.let(1)
        assert camera.read() is None
    assert len(scripts.opened) == 1
    assert capsys.readouterr().err == ""


def test_an_absent_camera_is_refused_at_once_or_waited_for() -> None:
    with pytest.raises(DeviceError, match="absent"):
        LiveCamera("0", Scripts(DeviceError("absent")))
    scripts = Scripts(DeviceError("absent"), DeviceError("absent"), [7])
    with LiveCamera("0", scripts, wait=True, patience=QUICK) as camera:
        scripts.let()
        assert value(camera) == 7


def test_stop_frees_a_waiting_reader_and_close_releases_the_device() -> None:
    scripts = Scripts([1, 2])
    camera = LiveCamera("0", scripts)
    answers: list[object] = []
    reader = threading.Thread(target=lambda: answers.append(camera.read()))
    reader.start()
    camera.stop()
    reader.join(5)
    assert answers == [None]
    scripts.let(2)
    camera.close()
    assert scripts.opened[0].closed == 1
    assert not camera._thread.is_alive()


def test_a_defect_in_a_capture_reaches_the_reader() -> None:
    scripts = Scripts([ZeroDivisionError("oops")])
    with LiveCamera("0", scripts) as camera:
        scripts.let()
        with pytest.raises(ZeroDivisionError, match="oops"):
            camera.read()
    assert scripts.opened[0].closed == 1


def test_the_pause_doubles_up_to_the_longest() -> None:
    patience = Patience(0.5, 8)
    assert [patience.pause_s(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert patience.pause_s(10_000) == 8
