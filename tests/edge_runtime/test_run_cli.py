import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime import cli

from .fakes import Kept
from .pan_zoom import write

MODEL = str(Path(__file__).parents[1] / "models" / "brightness-int8.tflite")
RUN = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", "run", "--model", MODEL, "--detector", "none"]


Run = Callable[..., "Done"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, as the entry point would run it."""

    def call(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["edge-emotion", *RUN[3:], *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(int(ended.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "levels.avi"
    write(path, (np.full((48, 64, 3), level, np.uint8) for level in [0] * 30 + [255] * 30))
    return path


def test_json_lines_on_stdout_are_all_that_is_there(run: Run, video: Path) -> None:
    done = run("--source", video, "--jsonl", "-", "--max-frames", 50)
    assert done.returncode == 0
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [d["frame"] for d in documents] == list(range(50))
    assert documents[0]["faces"][0]["label"] == "dark"
    assert documents[-1]["faces"][0]["label"] == "bright"
    assert {d["faces"][0]["id"] for d in documents} == {1}
    first, times, changes = done.stderr.splitlines()
    assert first.startswith("50 frames, 50 faces, ")
    assert times.startswith("ms a frame, p50 (p95): capture ")
    assert changes == "label changes a minute: 30.6 raw, 30.6 smoothed"  # one change in 49 / 25 s


def test_one_frame_is_no_frames(run: Run, video: Path) -> None:
    assert run("--source", video, "--max-frames", 1).stderr.startswith("1 frame, 1 face, ")


def test_the_summary_says_that_no_broker_got_anything(run: Run, video: Path) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs the mqtt extra")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run("--source", video, "--mqtt", f"mqtt://127.0.0.1:{port}", "--max-frames", 2)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == f"0 of 1 states sent to mqtt://127.0.0.1:{port}"


def test_quiet_says_nothing(run: Run, video: Path) -> None:
    done = run("--source", video, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_token_in_the_environment_waits_for_a_page_and_one_that_is_typed_needs_it(
    run: Run, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_EMOTION_WEB_TOKEN", "short")
    assert run("--source", video, "--max-frames", 1).returncode == 0
    done = run("--source", video, "--web-token", "a-token-of-this-test")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "add --web HOST:PORT" in done.stderr
    pytest.importorskip("starlette", reason="needs the web extra")
    assert "at least 12" in run("--source", video, "--web", "127.0.0.1:0").stderr


def test_by_default_nothing_is_written_anywhere(
    run: Run, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("--source", video)
    assert (done.returncode, done.stdout) == (0, "")
    assert list(tmp_path.iterdir()) == []
    assert done.stderr.splitlines()[-1].startswith("nothing was recorded: add --jsonl -")


def test_nothing_is_missed_on_a_terminal_or_with_an_output(
    run: Run, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "recorded" not in run("--source", video, "--csv", tmp_path / "a.csv").stderr
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "recorded" not in run("--source", video).stderr


def test_files_of_every_kind(run: Run, video: Path, tmp_path: Path) -> None:
    done = run(
        "--source", video, "--jsonl", tmp_path / "a.jsonl", "--csv", tmp_path / "a.csv", "--video", tmp_path / "a.avi"
    )
    assert done.returncode == 0
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 60
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 61
    assert cv2.VideoCapture(str(tmp_path / "a.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 60


def test_an_aggregate_shows_no_face(run: Run, video: Path) -> None:
    done = run("--source", video, "--jsonl", "-", "--aggregate", 1)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [d["frames"] for d in documents] == [25, 25, 10]
    assert all("faces" not in d for d in documents)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--source", "none.mp4"], 1, "none.mp4 does not exist"),
        (["--source", "99"], 1, "there is no camera /dev/video99"),
        (["--source", "x", "--detector", "blaze"], 2, "did you mean blazeface"),
        (["--source", "x", "--detect-every", "often"], 2, "--detect-every takes a number of frames or auto"),
        (["--source", "x", "--size", "big"], 2, "--size is written like 640x480"),
        (["--source", "x", "--aggregate", "5"], 2, "--aggregate needs somewhere"),
        (["--source", "x", "--classes", "dark,purple"], 2, "unknown class 'purple'"),
        (["--source", "x", "--device", "gpu"], 2, "unknown device"),
        (["--source", "x", "--jsonl", "/proc/nowhere/x"], 1, "cannot write /proc/nowhere/x"),
        (["--source", "x", "--video", "a.gif"], 2, "--video a.gif"),
    ],
)
def test_what_is_wrong_is_one_clear_line(run: Run, arguments: list[str], code: int, message: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("edge-emotion: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


class Endless(http.server.BaseHTTPRequestHandler):
    """An MJPEG camera that never ends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
        try:
            while True:
                self.wfile.write(head + jpeg + b"\r\n")
                time.sleep(0.01)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stream() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/stream"
    server.shutdown()
    server.server_close()


@contextmanager
def hang_up(handler: signal.Handlers) -> Iterator[None]:
    """How a program that is started inside finds SIGHUP: as after a log-in, or as under `nohup`."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(600):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    pytest.fail(f"{path.name} has no {count} lines after 30 s")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_a_live_run_with_everything_written(
    stream: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    lines, rows, video = tmp_path / "a.jsonl", tmp_path / "a.csv", tmp_path / "a.mp4"
    outputs = ["--jsonl", str(lines), "--csv", str(rows), "--video", str(video)]
    with hang_up(signal.SIG_DFL):
        running = subprocess.Popen([*RUN, "--source", stream, *outputs], stderr=subprocess.PIPE, text=True)
    wait_for_lines(lines, 10)
    running.send_signal(number)
    _, said = running.communicate(timeout=20)
    assert running.returncode == code, said
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(len(records)))
    times = [datetime.fromisoformat(record["time"]) for record in records]
    assert times == sorted(times)
    assert f"{len(records)} frames, {len(records)} faces" in said
    assert len(rows.read_text().splitlines()) == len(records) + 1
    assert cv2.VideoCapture(str(video)).read()[0]


def test_under_nohup_a_hang_up_ends_nothing(stream: str, tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    with hang_up(signal.SIG_IGN):
        running = subprocess.Popen([*RUN, "--source", stream, "--jsonl", str(lines)], stderr=subprocess.PIPE)
    wait_for_lines(lines, 5)
    running.send_signal(signal.SIGHUP)
    wait_for_lines(lines, lines.read_bytes().count(b"\n") + 20)
    assert running.poll() is None
    running.terminate()
    running.communicate(timeout=20)
    assert running.returncode == 0


class Slow(Kept):
    """The process is sent a signal while this is closed."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def close(self) -> None:
        os.kill(os.getpid(), self._number)
        super().close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_cut_off_what_is_being_closed(
    run: Run, video: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    slow = Slow(number)
    monkeypatch.setattr("edge_emotion.edge_runtime.outputs.choice.open_outputs", lambda config: [slow])
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        assert run("--source", video).returncode == 0
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert slow.closed == 1


def test_a_stderr_that_is_closed_ends_nothing_and_goes_nowhere_else(video: Path) -> None:
    closed = ["sh", "-c", 'exec "$0" "$@" 2>&-']
    done = subprocess.run([*closed, *RUN, "--source", video, "--jsonl", "-"], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    frames = [json.loads(line)["frame"] for line in done.stdout.splitlines()]
    assert frames == list(range(len(frames)))
    assert frames
    refused = subprocess.run([*closed, *RUN, "--source", "none"], stdout=subprocess.PIPE, check=False)
    assert (refused.returncode, refused.stdout) == (1, b"")


def test_a_reader_that_goes_away_ends_the_run(video: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*RUN, "--source", str(video), "--jsonl", "-"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writing)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
