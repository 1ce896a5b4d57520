import doctest
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.cameras import open_camera, stream, video_file
from edge_emotion.edge_runtime.cameras.stream import TIMEOUTS, StreamCapture, without_password
from edge_emotion.edge_runtime.errors import DeviceError, OptionError
from hypothesis import given
from hypothesis import strategies as st

from ..pan_zoom import frames, write


class Handler(http.server.BaseHTTPRequestHandler):
    """`/stream`: 12 frames of multipart MJPEG, then the end. `/clip…`: a whole file. `/stalls.avi`: half of one.

    Anything else: 404.
    """

    clip = b""
    over = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/clip"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(Handler.clip)))
            self.end_headers()
            self.wfile.write(Handler.clip)
        elif self.path == "/stalls.avi":
            self.send_response(200)
            self.send_header("Content-Length", str(len(Handler.clip)))
            self.end_headers()
            self.wfile.write(Handler.clip[: len(Handler.clip) // 2])
            self.wfile.flush()
            Handler.over.wait(30)
        elif self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for level in range(12):
                jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), 10 * level, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    write(path, frames([np.full((60, 60, 3), 90, np.uint8)], 15))
    Handler.clip = path.read_bytes()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    Handler.over.set()
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_an_mjpeg_stream_is_read_to_its_end(server: str) -> None:
    capture = StreamCapture(f"{server}/stream")
    levels = []

    def read_on() -> None:
        while True:
            grabbed = capture.grab()
            assert grabbed is not None
            levels.append(int(grabbed[0].mean()))

    with pytest.raises(DeviceError, match="no more frames"):
        read_on()
    capture.close()
    assert len(levels) >= 10
    assert levels == sorted(levels)


def test_a_video_behind_a_url_that_stalls_ends_and_says_so(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video_file, "TIMEOUTS", (*TIMEOUTS[:-1], 300))
    with open_camera(f"{server}/stalls.avi") as camera:
        count = len(list(iter(camera.read, None)))
    assert 0 < count < 15
    assert f"ends after {count} of 15 frames: the server gives no more of it" in capsys.readouterr().err


def test_a_video_behind_a_url_that_does_not_answer_is_said(server: str) -> None:
    with pytest.raises(DeviceError, match=r"none\.avi does not answer with a video"):
        open_camera(f"{server}/none.avi")


def test_a_video_file_behind_a_url_gives_every_frame(server: str) -> None:
    with open_camera(f"{server}/clip.avi?x=1") as camera:
        assert not camera.live
        assert len(list(iter(camera.read, None))) == 15


@pytest.mark.parametrize("wait", [False, True])
def test_a_video_whose_url_does_not_say_so_is_fetched_once(server: str, wait: bool) -> None:
    with open_camera(f"{server}/clip", wait=wait) as camera:
        frames = list(iter(camera.read, None))
    assert frames
    assert not any(frame.cut for frame in frames[1:])


def test_an_address_without_a_stream_is_refused_without_its_password(server: str) -> None:
    address = server.replace("http://", "http://me:secret@") + "/nothing"
    with pytest.raises(DeviceError, match="does not answer") as refused:
        open_camera(address)
    assert "secret" not in str(refused.value)


@given(st.text("abcXYZ0189._-", min_size=1), st.text("abcXYZ0189._-@:", max_size=12))
def test_no_password_survives(host: str, password: str) -> None:
    shown = without_password(f"rtsp://user:{password}@{host}:554/live?a=b")
    assert shown == f"rtsp://{host}:554/live?a=b"
    assert without_password(f"rtsp://{host}/live") == f"rtsp://{host}/live"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host/videostream.cgi?user=admin&pwd=secret&rate=1", "http://host/videostream.cgi?user=…&pwd=…&rate=1"),
        ("http://host/x?loginuse=me&LoginPas=secret@2&channel=1", "http://host/x?loginuse=…&LoginPas=…&channel=1"),
        ("https://host/live.m3u8?access_token=secret", "https://host/live.m3u8?access_token=…"),
        ("rtsp://host:554/user=me&password=secret&channel=1", "rtsp://host:554/user=…&password=…&channel=1"),
        ("rtsp://me:pa#secret@host", "rtsp://host"),
        ("rtsp://me:pa/secret@host:554/live", "rtsp://host:554/live"),
        ("rtsp://me:secret@[::1]:554/live", "rtsp://[::1]:554/live"),
        ("rtsp://[::1]:554/live@2", "rtsp://[::1]:554/live@2"),
        ("rtsp://host:554/live@2", "rtsp://host:554/live@2"),
        ("rtsp://[cam/live", "rtsp://[cam/live"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize("url", ["rtsp://[cam/live", "rtsp://me:pa#secret@host/live", "http://host:eighty/"])
def test_a_malformed_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(OptionError, match="no valid host and port") as refused:
        open_camera(url)
    assert "secret" not in str(refused.value)


def test_the_docstring_examples_hold() -> None:
    assert doctest.testmod(stream).failed == 0


def test_a_path_is_left_alone() -> None:
    assert without_password(str(Path("/a/b@c.mp4"))) == "/a/b@c.mp4"
