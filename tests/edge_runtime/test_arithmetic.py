from edge_emotion.edge_runtime.arithmetic import macs
from hypothesis import given
from hypothesis import strategies as st

sizes = st.integers(1, 64)


@given(sizes, sizes, sizes, sizes, st.integers(1, 5))
def test_macs_are_those_of_the_textbook(height: int, width: int, cin: int, cout: int, kernel: int) -> None:
    out = (1, height, width, cout)
    assert macs("CONV_2D", [(1, 9, 9, cin), (cout, kernel, kernel, cin), (cout,)], out) == (
        height * width * cout * kernel * kernel * cin
    )
    assert macs("DEPTHWISE_CONV_2D", [(1, 9, 9, cout), (1, kernel, kernel, cout)], out) == (
        height * width * cout * kernel * kernel
    )
    assert macs("FULLY_CONNECTED", [(1, cin), (cout, cin)], (1, cout)) == cin * cout
    assert macs("TRANSPOSE_CONV", [(4,), (cout, kernel, kernel, cin), (1, height, width, cin)], (1, 99, 99, cout)) == (
        height * width * cin * cout * kernel * kernel
    )
    assert macs("ADD", [out, out], out) == 0


def test_an_operator_without_inputs_has_no_macs() -> None:
    assert macs("CONV_2D", [], (1, 2, 2, 1)) == 0
