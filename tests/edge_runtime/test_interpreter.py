import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from edge_emotion.edge_runtime import interpreter
from edge_emotion.edge_runtime.errors import ModelError, OptionError, RuntimeMissingError
from edge_emotion.edge_runtime.interpreter import Quantisation, available_backends, open_interpreter
from edge_emotion.edge_runtime.metadata import FACE_48, InputSpec
from edge_emotion.edge_runtime.preprocess import normalise
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

MODELS = Path(__file__).parents[1] / "models"


@given(
    st.floats(1e-4, 10),
    st.integers(-128, 127),
    st.lists(st.floats(-3000, 3000, width=32), min_size=1, max_size=20),
)
def test_quantising_agrees_with_float64_and_saturates(scale: float, zero_point: int, values: list[float]) -> None:
    q = Quantisation(scale, zero_point, np.int8)
    real = np.array(values, np.float32)
    expected = np.clip(np.rint(real.astype(np.float64) / scale) + zero_point, -128, 127)
    np.testing.assert_array_equal(q.quantise(real), expected)
    back = q.dequantise(q.quantise(real)).astype(np.float64)
    inside = (expected > -128) & (expected < 127)
    assert np.all(np.abs(back - real)[inside] <= scale / 2 + 1e-3 * scale + 1e-6 * np.abs(real[inside]))


@given(st.integers(-128, 127), st.integers(-128, 127))
def test_dequantising_is_widened_before_the_zero_point(value: int, zero_point: int) -> None:
    q = Quantisation(1.0, zero_point, np.int8)
    assert q.dequantise(np.array([value], np.int8))[0] == value - zero_point


def test_a_float_tensor_passes_through() -> None:
    q = Quantisation(0.0, 0, np.float32)
    values = np.array([1.5, -2.25], np.float32)
    np.testing.assert_array_equal(q.dequantise(q.quantise(values)), values)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_every_installed_runtime_gives_the_known_answer(backend: str, precision: str) -> None:
    content = (MODELS / f"brightness-{precision}.tflite").read_bytes()
    with open_interpreter(content, FACE_48, backend) as model:
        for level in (0, 51, 127, 255):
            m = level / 255
            expected = [2.8 - 8 * m, 0.6, -5.2 + 8 * m]
            np.testing.assert_allclose(model(np.full((48, 48, 1), level, np.uint8)), expected, atol=0.05)


def test_the_int8_input_is_exactly_pixel_minus_128() -> None:
    with open_interpreter((MODELS / "brightness-int8.tflite").read_bytes(), FACE_48) as model:
        np.testing.assert_array_equal(model._table, np.arange(256) - 128)


def test_the_result_is_not_overwritten_by_the_next_call() -> None:
    with open_interpreter((MODELS / "brightness-float32.tflite").read_bytes(), FACE_48) as model:
        first = model(np.zeros((48, 48, 1), np.uint8))
        kept = first.copy()
        model(np.full((48, 48, 1), 255, np.uint8))
        np.testing.assert_array_equal(first, kept)


HEADER = b"\x1c\x00\x00\x00TFL3"


@pytest.mark.parametrize("content", [b"", HEADER, HEADER + b"\xff" * 400, b"PK\x03\x04"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        open_interpreter(content, FACE_48)


def test_another_input_size_than_the_metadatas_is_refused() -> None:
    with pytest.raises(ModelError, match=r"takes \(1, 48, 48, 1\), its metadata says \(1, 64, 64, 1\)"):
        open_interpreter((MODELS / "brightness-int8.tflite").read_bytes(), InputSpec(64, 64))


def test_unknown_and_missing_backends_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="unknown backend 'tpu'"):
        open_interpreter(b"", FACE_48, "tpu")
    monkeypatch.setattr(interpreter, "find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError, match="pip install tflite-runtime"):
        open_interpreter(b"", FACE_48, "tflite-runtime")
    with pytest.raises(RuntimeMissingError, match="pip install ai-edge-litert"):
        open_interpreter(b"", FACE_48, "auto")


def test_tflite_runtime_with_numpy_2_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "available_backends", lambda: ("tflite-runtime",))
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(RuntimeMissingError, match="pip install 'numpy<2'"):
        open_interpreter(b"", FACE_48)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32])
@pytest.mark.parametrize("spec", [InputSpec(5, 4), InputSpec(5, 4, "rgb", -1, 1)])
def test_every_pixel_value_goes_in_through_the_table_and_out_by_the_formula(
    dtype: type[np.generic], spec: InputSpec
) -> None:
    class Runtime:
        """Gives back its first 256 inputs as outputs."""

        quantisation = (0.0, 0) if dtype is np.float32 else (2 / 255, 3)

        def get_input_details(self) -> list[dict[str, object]]:
            return [{"index": 0, "shape": (1, *spec.shape), "dtype": dtype, "quantization": self.quantisation}]

        def get_output_details(self) -> list[dict[str, object]]:
            count = int(np.prod(spec.shape))
            return [{"index": 1, "shape": (1, count), "dtype": dtype, "quantization": self.quantisation}]

        def set_tensor(self, index: int, value: NDArray[np.generic]) -> None:
            self.seen = value.copy()

        def invoke(self) -> None:
            pass

        def get_tensor(self, index: int) -> NDArray[np.generic]:
            return self.seen.reshape(1, -1)

    model = interpreter.TFLiteInterpreter(Runtime(), spec, "fake")
    for level in range(256):
        pixels = np.full(spec.shape, level, np.uint8)
        wanted = model.input_quantisation.quantise(normalise(pixels, spec))
        np.testing.assert_array_equal(model(pixels), model.output_quantisation.dequantise(wanted).ravel())


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("shape", [(1, 7), (7,), (1, 1, 1, 7)])
def test_the_elements_of_the_output_are_the_classes_in_whatever_shape(
    shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    class Runtime:
        """Gives 0 to 6, in this shape."""

        def get_input_details(self) -> list[dict[str, object]]:
            return [{"index": 0, "shape": (1, *FACE_48.shape), "dtype": np.float32, "quantization": (0.0, 0)}]

        def get_output_details(self) -> list[dict[str, object]]:
            quantisation = (1.0, 0) if dtype is np.int8 else (0.0, 0)
            return [{"index": 1, "shape": shape, "dtype": dtype, "quantization": quantisation}]

        def set_tensor(self, index: int, value: NDArray[np.generic]) -> None:
            pass

        def invoke(self) -> None:
            pass

        def get_tensor(self, index: int) -> NDArray[np.generic]:
            return np.arange(7).astype(dtype).reshape(shape)

    model = interpreter.TFLiteInterpreter(Runtime(), FACE_48, "fake")
    assert model.classes == 7
    np.testing.assert_array_equal(model(np.zeros(FACE_48.shape, np.uint8)), np.arange(7))


def test_threads_take_turns_and_each_gets_its_own_answer() -> None:
    class Runtime:
        """Gives back its first input; minds company."""

        busy = threading.Lock()

        def get_input_details(self) -> list[dict[str, object]]:
            return [{"index": 0, "shape": (1, *FACE_48.shape), "dtype": np.float32, "quantization": (0.0, 0)}]

        def get_output_details(self) -> list[dict[str, object]]:
            return [{"index": 1, "shape": (1, 1), "dtype": np.float32, "quantization": (0.0, 0)}]

        def set_tensor(self, index: int, value: NDArray[np.generic]) -> None:
            assert self.busy.acquire(blocking=False)
            self.seen = value.flat[:1].copy()

        def invoke(self) -> None:
            time.sleep(0.001)

        def get_tensor(self, index: int) -> NDArray[np.generic]:
            self.busy.release()
            return self.seen

    model = interpreter.TFLiteInterpreter(Runtime(), FACE_48, "fake")
    levels = list(range(0, 256, 15))
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda level: float(model(np.full(FACE_48.shape, level, np.uint8))[0]), levels)
        assert list(answers) == pytest.approx([level / 255 for level in levels])


def test_a_closed_one_says_so() -> None:
    model = open_interpreter((MODELS / "brightness-int8.tflite").read_bytes(), FACE_48)
    model.close()
    model.close()
    with pytest.raises(ModelError, match="the classifier is closed"):
        model(np.zeros(FACE_48.shape, np.uint8))


def test_memory_does_not_grow_over_ten_thousand_calls() -> None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("hardware: only Linux tells the resident memory")

    def resident_kb() -> int:
        return int(statm.read_text().split()[1]) * 4

    pixels = np.zeros((48, 48, 1), np.uint8)
    with open_interpreter((MODELS / "brightness-int8.tflite").read_bytes(), FACE_48) as model:
        for _ in range(1000):
            model(pixels)
        before = resident_kb()
        for _ in range(10_000):
            model(pixels)
        assert resident_kb() - before < 1024
