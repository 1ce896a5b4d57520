"""How much boxes have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def overlaps(a_xywh: NDArray[np.float64], b_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each pair of boxes, (N, 4) and (M, 4) to (N, M).

    >>> overlaps(np.array([[0., 0, 2, 2]]), np.array([[1., 0, 2, 2], [5, 5, 1, 1]])).round(3).tolist()
    [[0.333, 0.0]]
    """
    a, b = a_xywh[:, None, :], b_xywh[None, :, :]
    left_top = np.maximum(a[..., :2], b[..., :2])
    right_bottom = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.prod(np.maximum(right_bottom - left_top, 0), axis=-1)
    union = np.prod(a[..., 2:], axis=-1) + np.prod(b[..., 2:], axis=-1) - common
    shares: NDArray[np.float64] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return shares
