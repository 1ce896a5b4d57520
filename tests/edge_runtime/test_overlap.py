import numpy as np
from edge_emotion.edge_runtime.overlap import overlaps
from hypothesis import given
from hypothesis import strategies as st

boxes = st.tuples(st.integers(-50, 500), st.integers(-50, 500), st.integers(1, 200), st.integers(1, 200))


@given(st.lists(boxes, max_size=6), st.lists(boxes, max_size=6))
def test_overlaps_lie_between_0_and_1_and_are_symmetric(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    first, second = np.array(a, np.float64).reshape(-1, 4), np.array(b, np.float64).reshape(-1, 4)
    shares = overlaps(first, second)
    assert shares.shape == (len(a), len(b))
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares, overlaps(second, first).T)
    np.testing.assert_allclose(np.diag(overlaps(first, first)), 1.0)
