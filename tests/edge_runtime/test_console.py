import doctest
import errno
import io
import os
import subprocess
import sys
import tempfile
from typing import NoReturn

import pytest
from edge_emotion.edge_runtime import console


def run(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)


def test_the_docstring_examples_hold() -> None:
    assert doctest.testmod(console).failed == 0


def test_foreign_output_never_reaches_stdout() -> None:
    program = (
        "import os, sys\n"
        "from edge_emotion.edge_runtime import console\n"
        "console.emit('first')\n"
        "with console.foreign_output_to_stderr():\n"
        "    print('python noise'); os.write(1, b'native noise\\n'); console.emit('second')\n"
        "    with console.foreign_output_to_stderr():\n"
        "        print('nested noise'); console.emit('third')\n"
        "print('last')\n"
    )
    done = run(program)
    assert done.stdout.split() == ["first", "second", "third", "last"]
    assert {"python", "native", "nested"} <= set(done.stderr.split())


def test_native_noise_is_held_back_unless_it_explains_an_error() -> None:
    program = (
        "import os, sys\n"
        "from edge_emotion.edge_runtime.console import quiet_native\n"
        "with quiet_native(): os.write(2, b'INFO: chatter\\n')\n"
        "try:\n"
        "    with quiet_native(): os.write(2, b'the reason\\n'); raise ValueError\n"
        "except ValueError: pass\n"
    )
    done = run(program)
    assert done.stderr.strip() == "the reason"


def test_a_message_that_nobody_can_read_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    closed = io.StringIO()
    closed.close()
    for stderr in (Gone(), closed):
        monkeypatch.setattr(sys, "stderr", stderr)
        console.note("lost")


def test_without_room_for_noise_it_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "memfd_create", full)
    with console.quiet_native():
        pass
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with console.quiet_native():
        pass


def test_a_full_disk_keeps_no_noise_from_being_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: pytest.fail("on disk"))
    with console.quiet_native():
        pass


def test_two_threads_that_hold_noise_back_do_not_lose_stderr() -> None:
    program = (
        "import sys, threading\n"
        "from edge_emotion.edge_runtime.console import note, quiet_native\n"
        "entered, leave = threading.Event(), threading.Event()\n"
        "def first():\n"
        "    with quiet_native(): entered.set(); leave.wait(0.3)\n"
        "def second():\n"
        "    entered.wait()\n"
        "    with quiet_native(): leave.set(); one.join(0.3)\n"
        "one, two = threading.Thread(target=first), threading.Thread(target=second)\n"
        "one.start(); two.start(); one.join(); two.join()\n"
        "note('still here')\n"
    )
    done = run(program)
    assert done.stderr.strip() == "still here"


def test_a_thread_that_opens_a_source_takes_no_message_of_another() -> None:
    """In a process of its own: FFmpeg's loudness is that of the first video of a process."""
    program = (
        "import threading\n"
        "from contextlib import suppress\n"
        "from edge_emotion.edge_runtime import console\n"
        "from edge_emotion.edge_runtime.cameras.stream import StreamCapture\n"
        "from edge_emotion.edge_runtime.errors import DeviceError\n"
        "def open_streams():\n"
        "    for i in range(20):\n"
        "        with suppress(DeviceError):\n"
        "            StreamCapture(f'rtsp://127.0.0.1:1/{i}')\n"
        "opening = threading.Thread(target=open_streams)\n"
        "opening.start()\n"
        "said = 0\n"
        "while opening.is_alive() or not said:\n"
        "    console.note('a message')\n"
        "    said += 1\n"
        "print(said)\n"
    )
    done = run(program)
    assert done.stderr == "a message\n" * int(done.stdout)


def test_progress_is_silent_when_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with console.progress("working") as bar:
        bar(1, 2)
    assert capfd.readouterr() == ("", "")


def test_json_never_holds_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.emit_json({"value": float("nan")})


def test_figures() -> None:
    assert console.percent(0.675) == "67.50 %"
    assert console.percent_ci(0.675, (0.6594, 0.6901)) == "67.50 % (65.9–69.0)"
