from pathlib import Path

import pytest
from edge_emotion.edge_runtime.cameras import choice, live, open_camera
from edge_emotion.edge_runtime.cameras.choice import is_live
from edge_emotion.edge_runtime.errors import DeviceError


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("0", True),
        ("12", True),
        ("/dev/video2", True),
        ("/dev/v4l/by-id/usb-cam", True),
        ("picamera", True),
        ("picamera:1", True),
        ("rtsp://host/live", True),
        ("http://host/stream.mjpg", True),
        ("https://host/clip.mp4?token=1", False),
        ("clip.mp4", False),
        ("folder", False),
        ("picamera.mp4", False),
    ],
)
def test_which_sources_run_in_their_own_time(source: str, answer: bool) -> None:
    assert is_live(source) is answer


def test_a_file_or_folder_in_memory_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: path.name == "clip.avi")
    monkeypatch.setattr(Path, "is_dir", lambda path: path.name == "photos")
    assert [is_live(f"/dev/shm/{name}") for name in ("clip.avi", "photos", "camera")] == [False, False, True]


@pytest.mark.parametrize("source", ["nonsense", "picameras", "-1", "1.5", "ftp://host/x"])
def test_a_source_that_is_nothing_lists_what_there_is(source: str) -> None:
    with pytest.raises(DeviceError, match="a camera number"):
        open_camera(source)


def test_a_scheme_that_does_not_exist_shows_no_password() -> None:
    with pytest.raises(DeviceError, match=r"^source rstp://host/live does not exist"):
        open_camera("rstp://me:secret@host/live")


def test_http_streams_are_given_up_unless_waited_for_and_cameras_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, live.Patience | None]] = []

    class Noted:
        def __init__(
            self, source: str, open_capture: object, *, wait: bool, patience: live.Patience | None = None
        ) -> None:
            made.append((source, patience))

    monkeypatch.setattr(choice, "LiveCamera", Noted)
    for source in ("0", "rtsp://me:secret@host/live", "http://me:secret@host/stream"):
        open_camera(source)
    open_camera("http://host/stream", wait=True)
    names, patience = zip(*made, strict=True)
    assert names == ("0", "rtsp://host/live", "http://host/stream", "http://host/stream")
    assert [p.tries if p else None for p in patience] == [None, None, 3, None]
