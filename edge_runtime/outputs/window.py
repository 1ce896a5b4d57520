"""A window, where there is a screen and an OpenCV that has windows."""

from __future__ import annotations

import os
import sys

import cv2

from ..annotate import annotate
from ..console import quiet_native
from ..errors import DeviceError
from ..preprocess import Image
from ..results import FrameResult
from .output import Output, ViewerClosed
from .video import caption

TITLE = "edge-emotion"
QUIT_KEYS = (ord("q"), 27)  # q, Escape


class Window(Output):
    """Shows each frame with boxes and labels; q, Escape or closing it ends the run."""

    needs_image = True

    def __init__(self) -> None:
        """Open the window. Raises DeviceError without a screen, or with a headless OpenCV."""
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise DeviceError("--show needs a screen and there is none (DISPLAY is not set): use --web or --video")
        try:
            with quiet_native():
                cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise DeviceError(
                "--show: this OpenCV has no windows (it is the headless one): use --web or --video, or "
                "pip install opencv-python in place of opencv-python-headless"
            ) from error

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Show one frame. Raises ViewerClosed when the person wants to end."""
        if image is None:
            return
        cv2.imshow(TITLE, annotate(image, caption(result.faces)))
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            raise ViewerClosed

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()
