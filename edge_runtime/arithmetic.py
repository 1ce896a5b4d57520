"""How much arithmetic an operator of a TFLite file takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def macs(name: str, inputs: Sequence[Shape], output: Shape) -> int:
    """Multiply-accumulates of the operators that have them; 0 for the others, which only add, compare or move.

    name: as in the schema. Weights are (out, height, width, in) for CONV_2D and TRANSPOSE_CONV, (1, height, width, out)
    for DEPTHWISE_CONV_2D, (out, in) for FULLY_CONNECTED (TFLite's operator reference).

    >>> macs("CONV_2D", [(1, 8, 8, 3), (16, 3, 3, 3), (16,)], (1, 8, 8, 16)) == 8 * 8 * 16 * 3 * 3 * 3
    True
    """
    if len(inputs) < 2:
        return 0
    weights = inputs[1]
    if name in ("CONV_2D", "FULLY_CONNECTED"):
        return math.prod(output) * math.prod(weights[1:])
    if name == "DEPTHWISE_CONV_2D":
        return math.prod(output) * math.prod(weights[1:3])
    if name == "TRANSPOSE_CONV" and len(inputs) > 2:  # each input value meets all of (out, height, width)
        return math.prod(inputs[2]) * math.prod(weights[:3])
    return 0
