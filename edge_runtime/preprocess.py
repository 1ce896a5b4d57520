"""The one preprocessing: bytes → pixels → the model's input size. Training, calibration, evaluation and camera use it.

Every operation here is bit-equal between x86-64 and Arm builds of OpenCV (JPEG and PNG decoding, BGR2GRAY,
INTER_LINEAR_EXACT), so that a model sees the same input on the desk and on the device.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ImageError
from .metadata import InputSpec

Image = NDArray[np.uint8]
"""A picture: uint8, (H, W) grey or (H, W, 3) in OpenCV's BGR order."""
AnyImage = NDArray[Any]
"""What is taken for a picture: an `Image` as OpenCV's functions return it, whose types do not tell uint8."""
Pixels = NDArray[np.uint8]
"""What a model is shown: uint8, (H, W, C) or (N, H, W, C), grey or RGB, as `prepare` makes it."""

RESIZE_REVISION = 1
"""Raised when `prepare` changes its output, so that no cache serves old pixels."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".pgm", ".ppm", ".tif", ".tiff"})


def decode(data: bytes, name: str = "image") -> Image:
    """Decode an encoded image to uint8 BGR, (H, W, 3).

    EXIF orientation is applied, 16-bit samples are reduced to 8, an alpha channel is dropped.
    Raises ImageError when the data is empty, truncated, or not an image.
    """
    if not data:
        raise ImageError(f"{name} is empty")
    if is_truncated(data):
        raise ImageError(f"{name} is truncated: the file ends before its end marker")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError(f"{name} cannot be decoded: {error.err or error}") from error
    if image is None:
        raise ImageError(f"{name} is not an image that OpenCV can read: save it as JPEG or PNG")
    return _uint8(image)


def read_image(path: Path | str) -> Image:
    """Read and decode an image file to uint8 BGR, (H, W, 3). Raises ImageError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    return decode(data, str(path))


def is_truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG ends before its end marker (ITU-T T.81 B.1.1.3; PNG 3rd ed. 5.6).

    OpenCV fills what is missing with grey and says nothing, so this has to be asked separately.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND\xaeB`\x82" not in data
    if not data.startswith(b"\xff\xd8"):
        return False
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length
        if marker == 0xDA:  # start of scan: from here on only the end marker ends the image
            return data.find(b"\xff\xd9", position) < 0
    return True


def to_colour(image: Image, colour: Literal["grey", "rgb"]) -> Image:
    """The image as (H, W) grey or (H, W, 3) RGB."""
    grey_in = image.ndim == 2 or image.shape[2] == 1
    if colour == "grey":
        return image.reshape(image.shape[:2]) if grey_in else _uint8(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    return _uint8(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if grey_in else cv2.COLOR_BGR2RGB))


def resize(image: Image, size_wh: tuple[int, int]) -> Image:
    """Resize to (width, height): exact 2×2 means until under twice the target, then bilinear, fixed-point exact.

    Bilinear interpolation alone skips pixels when it shrinks by more than two, which turns a large face into noise.
    """
    width, height = size_wh
    while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
        image = halve(image)
    if image.shape[:2] != (height, width):
        image = _uint8(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT))
    return image


def halve(image: Image) -> Image:
    """2×2 means, rounded half up; an odd last row or column is dropped.

    >>> halve(np.array([[1, 2], [3, 4]], np.uint8))
    array([[3]], dtype=uint8)
    """
    height, width = image.shape[0] // 2, image.shape[1] // 2
    half = cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return _uint8(half).reshape(height, width, *image.shape[2:])  # at exactly one half, bilinear is the 2×2 mean


def as_image(image: AnyImage) -> Image:
    """The same array, known for a picture.

    Raises ImageError for what is not a uint8 array (H, W), (H, W, 1) or (H, W, 3) with pixels in it.
    """
    if not isinstance(image, np.ndarray):
        raise ImageError(f"an image is a uint8 array, got {type(image).__name__} (cv2.imread gives None of no image)")
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
        raise ImageError(f"an image is a uint8 array (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
    if image.size == 0:
        raise ImageError("image has no pixels")
    return image


def prepare(image: AnyImage, spec: InputSpec) -> Pixels:
    """An image of any size and colour as the model's pixels: uint8, (height, width, channels).

    Raises ImageError as `as_image` does.
    """
    picture = to_colour(as_image(image), spec.colour)
    return np.ascontiguousarray(resize(picture, spec.size_wh).reshape(spec.shape))


def crop_face(image: Image, box_xywh: tuple[int, int, int, int], margin: float = 0.0) -> Image:
    """The square around a face box, its longer side widened by `margin` on each side; edges are replicated.

    Returns a view or copy of shape (S, S) or (S, S, C), S ≥ 1, wherever the box lies.
    """
    x, y, w, h = box_xywh
    side = max(1, round(max(w, h) * (1 + 2 * margin)))
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    rows, columns = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= columns and top + side <= rows:
        return image[top : top + side, left : left + side]
    above, below = min(max(0, -top), side - 1), min(max(0, top + side - rows), side - 1)
    before, after = min(max(0, -left), side - 1), min(max(0, left + side - columns), side - 1)
    top, left = min(max(0, top), rows - 1), min(max(0, left), columns - 1)
    inside = image[top : top + side - above - below, left : left + side - before - after]
    return _uint8(cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_REPLICATE)).reshape(
        side, side, *image.shape[2:]
    )


def normalise(pixels: Pixels, spec: InputSpec) -> NDArray[np.float32]:
    """uint8 pixels as the float values the model was trained on: 0 → low, 255 → high. Same shape, float32."""
    return pixels.astype(np.float32) * np.float32((spec.high - spec.low) / 255.0) + np.float32(spec.low)


def fingerprint(pixels: Pixels) -> bytes:
    """Equal for equal pixels (H, W, C) and for no others: their SHA-256."""
    return hashlib.sha256(pixels.tobytes()).digest()


def _uint8(image: Any) -> Image:
    array: Image = np.asarray(image, dtype=np.uint8)
    return array
