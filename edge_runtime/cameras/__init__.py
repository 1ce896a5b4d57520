"""Where frames come from: one Protocol, one file per kind of source."""

from .camera import Camera, Frame
from .choice import open_camera

__all__ = ["Camera", "Frame", "open_camera"]
