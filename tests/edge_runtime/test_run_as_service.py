"""`run` as systemd runs it: a process with a configuration file, watched over HTTP, ended with SIGTERM."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the web extra")

MODEL = Path(__file__).parents[1] / "models" / "brightness-int8.tflite"
PICTURES = 20_000
RUN = [sys.executable, "-m", "edge_emotion.edge_runtime.cli", "run"]


@pytest.fixture
def many_pictures(tmp_path: Path) -> Path:
    """A minute of pictures at least: the run does not end by itself while the test looks."""
    picture = tmp_path / "picture.jpg"
    cv2.imwrite(str(picture), np.full((720, 1280, 3), 90, np.uint8))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(PICTURES):
        (folder / f"{i:05}.jpg").symlink_to(picture)
    return folder


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def start(processes: list[subprocess.Popen[str]], *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*RUN, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
    processes.append(process)
    return process


def follow(port: int, path: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    return connection


def status(port: int) -> int | None:
    with contextlib.suppress(OSError), contextlib.closing(follow(port, "/healthz")) as connection:
        return connection.getresponse().status
    return None


def until_status(port: int, wanted: int, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if status(port) == wanted:
            return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    pytest.fail(f"never {wanted}")


def until_told(wanted: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr
    told = ""
    for line in process.stderr:
        told += line
        if wanted in line:
            return
    pytest.fail(f"ended without a word of {wanted}: {told}")


def test_sigterm_ends_it_with_everything_written_and_viewers_watching(
    tmp_path: Path, many_pictures: Path, port: int, processes: list[subprocess.Popen[str]]
) -> None:
    lines = tmp_path / "faces.jsonl"
    config = tmp_path / "run.toml"
    config.write_text(
        f'source = "{many_pictures}"\nmodel = "{MODEL}"\ndetector = "none"\n'
        f'web = "127.0.0.1:{port}"\njsonl = "{lines}"\nthreads = 2\n'
    )
    process = start(processes, "--config", str(config))
    until_status(port, 200, process)
    viewers = [follow(port, path) for path in ("/picture", "/events")]
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert f"page: http://127.0.0.1:{port}/" in told
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["frame"] for line in written] == list(range(len(written)))  # none lost, none cut off
    assert 0 < len(written) < PICTURES
    assert f"{len(written)} frames" in told
    for viewer in viewers:
        viewer.close()


def test_a_camera_that_is_absent_at_boot_is_waited_for_and_told(
    port: int, processes: list[subprocess.Popen[str]]
) -> None:
    process = start(processes, "--source", "97", "--wait", "--model", str(MODEL), "--detector", "none",
                    "--web", f"127.0.0.1:{port}")  # fmt: skip
    until_told("/dev/video97", process)
    until_status(port, 503, process)  # the page is there before the camera is
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told


def test_without_wait_an_absent_camera_ends_it_and_frees_the_port(
    port: int, processes: list[subprocess.Popen[str]]
) -> None:
    process = start(processes, "--source", "97", "--model", str(MODEL), "--web", f"127.0.0.1:{port}")
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "/dev/video97" in told
    assert status(port) is None


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--web", "0.0.0.0:0"), 2, "--web-token"),
        (("--web", "127.0.0.1:0", "--web-token", "short"), 2, "at least 12"),
        (("--no-frames",), 2, "add --web"),
        (("--mqtt", "mqtt://u:geheim@localhost"), 2, "may not hold a password"),
        (("--mqtt-ca", "ca.pem"), 2, "add --mqtt"),
        (("--config", "no-such.toml"), 2, "cannot read --config"),
        (("--aggregate", "5", "--jsonl", "x", "--web", "8080"), 2, "leave out --video, --show, --web"),
    ],
)
def test_what_is_refused_in_one_line(
    arguments: tuple[str, ...], code: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from edge_emotion.edge_runtime import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edge-emotion", "run", "--source", "0", "--model", str(MODEL), *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == code
    assert why in told
    assert "geheim" not in told
    assert len(told.strip().splitlines()) == 1
