import numpy as np
from edge_emotion.edge_runtime.cameras import Frame


def test_frames_can_be_compared_and_looked_for() -> None:
    first, second = (Frame(np.zeros((4, 4), np.uint8), 0, 0.0) for _ in range(2))
    assert first != second
    assert [second, first].index(first) == 1
