import subprocess
import sys
import threading

import pytest
from edge_emotion.edge_runtime.errors import DeviceError
from edge_emotion.edge_runtime.outputs import Output, queued
from edge_emotion.edge_runtime.outputs.queued import Queued
from edge_emotion.edge_runtime.preprocess import Image
from edge_emotion.edge_runtime.results import FrameResult

from ..fakes import Kept, result


class Stalled(Kept):
    """Does not write before it is told to, like a disk that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reached = threading.Event()

    def write(self, result: FrameResult, image: Image | None) -> None:
        self.reached.set()
        assert self.go.wait(10)
        super().write(result, image)


def numbers(kept: Kept) -> list[int]:
    return [r.frame for r in kept.results]


def test_everything_queued_is_written_before_close_returns() -> None:
    kept = Kept()
    with Queued(kept, wait=False, limit=1000) as output:
        for frame in range(500):
            output.write(result(frame), None)
    assert numbers(kept) == list(range(500))
    assert kept.closed == 1


def test_a_live_camera_never_waits_and_drops_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    stalled = Stalled()
    output = Queued(stalled, wait=False, limit=4)
    output.write(result(0), None)
    assert stalled.reached.wait(10)
    for frame in range(1, 100):
        output.write(result(frame), None)  # would hang here if it waited
    assert output.dropped == 96
    stalled.go.set()
    output.close()
    assert numbers(stalled) == [0, 1, 2, 3]
    assert "too slow for 96 frames" in capsys.readouterr().err


def test_a_live_run_does_not_wait_for_an_output_that_takes_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(queued, "PATIENCE_S", 0.01)
    stalled = Stalled()
    output = Queued(stalled, wait=False, limit=4)
    for frame in range(3):
        output.write(result(frame), None)
    output.close()  # would hang here for 10 s, and fail, if it waited
    assert stalled.closed == 0
    assert "too slow for 3 frames" in capsys.readouterr().err
    stalled.go.set()
    output._thread.join(10)


def test_a_program_ends_though_nobody_reads_its_output() -> None:
    program = (
        "from edge_emotion.edge_runtime.outputs import queued\n"
        "from edge_emotion.edge_runtime.outputs.jsonl import JsonLines\n"
        "from edge_emotion.edge_runtime.outputs.record_file import RecordFile\n"
        "from edge_emotion.edge_runtime.results import FrameResult\n"
        "queued.PATIENCE_S = 0.2\n"
        "with queued.Queued(JsonLines(RecordFile('-')), wait=False, limit=20000) as output:\n"
        "    for i in range(20000): output.write(FrameResult('fake', i, 0.0, (), {}), None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as running:
        assert running.wait(60) == 0


def test_a_file_is_waited_for_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stalled = Stalled()
    output = Queued(stalled, wait=True, limit=2)
    wait = output._changed.wait

    def waited() -> bool:
        if threading.current_thread() is not output._thread:
            stalled.go.set()  # the disk works again as soon as it is waited for
        return wait()

    monkeypatch.setattr(output._changed, "wait", waited)
    for frame in range(50):
        output.write(result(frame), None)
    assert stalled.go.is_set()
    output.close()
    assert numbers(stalled) == list(range(50))
    assert output.dropped == 0


class Full(Output):
    needs_image = True

    def __init__(self) -> None:
        self.tried = threading.Event()
        self.closed = 0

    def write(self, result: FrameResult, image: Image | None) -> None:
        self.tried.set()
        raise DeviceError("No space left on device")

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("wait", [True, False])
def test_an_error_of_the_output_comes_out_once(wait: bool) -> None:
    full = Full()
    output = Queued(full, wait=wait, limit=1)
    assert output.needs_image
    output.write(result(0), None)
    assert full.tried.wait(10)
    output._thread.join(10)
    with pytest.raises(DeviceError, match="No space left"):
        output.write(result(1), None)
    output.close()
    output.close()
    assert full.closed == 1


def test_an_error_nobody_met_comes_out_at_close() -> None:
    full = Full()
    output = Queued(full, wait=False)
    output.write(result(0), None)
    with pytest.raises(DeviceError, match="No space left"):
        output.close()
