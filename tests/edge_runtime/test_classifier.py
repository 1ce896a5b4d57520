import dataclasses
import shutil
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from edge_emotion.edge_runtime import EmotionClassifier, ModelMetadata, Prediction
from edge_emotion.edge_runtime import metadata as model_metadata
from edge_emotion.edge_runtime.classifier import to_logits
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import ImageError, ModelError, OptionError
from edge_emotion.edge_runtime.evaluate import evaluate
from edge_emotion.edge_runtime.metrics import softmax

MODELS = Path(__file__).parents[1] / "models"
INT8 = MODELS / "brightness-int8.tflite"


def grey(level: int, size: int = 48) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.full((size, size), level, np.uint8)


def test_a_crop_of_any_size_and_colour_is_classified() -> None:
    with EmotionClassifier(INT8) as classifier:
        for size in (20, 48, 300):
            assert classifier.predict(grey(0, size)).label == "dark"
        assert classifier.predict(np.full((50, 70, 3), 255, np.uint8)).label == "bright"


def test_probabilities_are_in_the_models_order_and_sum_to_one() -> None:
    with EmotionClassifier(INT8) as classifier:
        prediction = classifier.predict(grey(100))
    assert list(prediction.probabilities) == ["dark", "grey", "bright"]
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.confidence == max(prediction.probabilities.values())


def test_a_subset_of_classes_is_renormalised_in_its_order() -> None:
    with EmotionClassifier(INT8) as whole, EmotionClassifier(INT8, classes=("bright", "dark")) as part:
        p, q = whole.predict(grey(90)).probabilities, part.predict(grey(90)).probabilities
    assert list(q) == ["bright", "dark"]
    assert q["dark"] == pytest.approx(p["dark"] / (p["dark"] + p["bright"]), abs=1e-6)


def test_the_temperature_of_the_metadata_is_applied() -> None:
    known = model_metadata.read(INT8)
    assert known is not None
    metadata = dataclasses.replace(known, temperature=4.0)
    pixels = np.zeros((1, 48, 48, 1), np.uint8)
    with EmotionClassifier(INT8) as sharp, EmotionClassifier(INT8, metadata=metadata) as soft:
        assert soft.predict(grey(0)).confidence < sharp.predict(grey(0)).confidence
        np.testing.assert_array_equal(soft.logits(pixels), sharp.logits(pixels))


def test_no_images_give_no_logits() -> None:
    with EmotionClassifier(INT8) as classifier:
        assert classifier.logits(np.zeros((0, 48, 48, 1), np.uint8)).shape == (0, 3)


def test_probability_outputs_come_back_from_the_softmax() -> None:
    metadata = ModelMetadata(("a", "b", "c"), outputs="probabilities")
    p = np.array([0.7, 0.2, 0.1], np.float32)
    np.testing.assert_allclose(softmax(to_logits(p, metadata)), p, atol=1e-6)


class Fixed:
    """An interpreter that gives the same outputs for every image."""

    def __init__(self, *outputs: float) -> None:
        self.outputs, self.classes = np.array(outputs, np.float32), len(outputs)

    def __call__(self, pixels: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return self.outputs.copy()

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ((0.7, 0.2, 0.1), "probabilities"),
        ((179 / 256, 50 / 256, 26 / 256), "probabilities"),  # int8: a step is missing from the sum
        ((0.7, 0.2, 0.2), "logits"),
        ((1.5, -0.5, 0.0), "logits"),
    ],
)
def test_a_softmax_in_a_file_without_metadata_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: tuple[float, ...], kind: str
) -> None:
    """Taken for logits, 70 % would be shown as 47 %: a second softmax flattens what it is given."""
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(b"\0\0\0\0TFL3")
    monkeypatch.setattr("edge_emotion.edge_runtime.classifier.open_interpreter", lambda *_: Fixed(*outputs))
    with EmotionClassifier(bare, metadata=ModelMetadata(("a", "b", "c"))) as classifier:
        assert classifier.metadata.outputs == kind
        shown = tuple(classifier.predict(grey(9)).probabilities.values())
    expected = np.array(outputs) / sum(outputs) if kind == "probabilities" else softmax(np.array(outputs))
    assert shown == pytest.approx(tuple(expected), abs=1e-5)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_a_model_that_gives_no_numbers_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: Literal["logits", "probabilities"]
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(b"\0\0\0\0TFL3")
    monkeypatch.setattr("edge_emotion.edge_runtime.classifier.open_interpreter", lambda *_: Fixed(0.5, np.nan))
    metadata = ModelMetadata(("a", "b"), outputs=outputs)
    nan = pytest.raises(ModelError, match=r"bare\.tflite gives NaN")
    with EmotionClassifier(bare, metadata=metadata) as classifier, nan:
        classifier.predict(grey(9))
    with EmotionClassifier(bare, metadata=metadata) as classifier, pytest.raises(ModelError, match="gives NaN"):
        classifier.logits(np.zeros((2, 48, 48, 1), np.uint8))


def test_minus_infinity_is_a_probability_of_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(b"\0\0\0\0TFL3")
    outputs = [0.0, -np.inf]
    monkeypatch.setattr("edge_emotion.edge_runtime.classifier.open_interpreter", lambda *_: Fixed(*outputs))
    with EmotionClassifier(bare, metadata=ModelMetadata(("a", "b"))) as classifier:
        assert classifier.predict(grey(9)).probabilities == {"a": 1, "b": 0}
    outputs[0] = -np.inf
    with EmotionClassifier(bare, metadata=ModelMetadata(("a", "b"))) as classifier, pytest.raises(ModelError):
        classifier.predict(grey(9))


def test_a_file_without_metadata_runs_with_declared_labels_only(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(model_metadata.strip(INT8.read_bytes()))
    with pytest.raises(ModelError, match="carries no metadata: give its labels"):
        EmotionClassifier(bare)
    with EmotionClassifier(bare, metadata=ModelMetadata(("x", "y", "z"))) as classifier:
        assert classifier.predict(grey(255)).label == "z"


def test_metadata_that_contradicts_the_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model_metadata.attach(INT8.read_bytes(), ModelMetadata(("a", "b"))))
    with pytest.raises(ModelError, match="3 outputs but 2 labels"):
        EmotionClassifier(path)
    path.write_bytes(
        model_metadata.attach(INT8.read_bytes(), ModelMetadata(("a", "b", "c"), model_metadata.InputSpec(64, 64)))
    )
    with pytest.raises(ModelError, match=r"model\.tflite: the model takes"):
        EmotionClassifier(path)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        EmotionClassifier(tmp_path / "none.tflite")
    shutil.copy(__file__, tmp_path / "text.tflite")
    for metadata in (None, ModelMetadata(("a", "b"))):
        with pytest.raises(ModelError, match=r"text\.tflite is not a TFLite file$"):
            EmotionClassifier(tmp_path / "text.tflite", metadata=metadata)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0"}')
    with pytest.raises(ModelError, match=r"is not a TFLite file: edge-emotion convert .*model\.keras makes one"):
        EmotionClassifier(tmp_path / "model.keras")
    (tmp_path / "cut.tflite").write_bytes(INT8.read_bytes()[:-300])
    with pytest.raises(ModelError, match=r"cut\.tflite carries no metadata.*was cut off"):
        EmotionClassifier(tmp_path / "cut.tflite")


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (None, "got NoneType"),
        ([[0, 1]], "got list"),
        (np.zeros((48, 48), np.uint16), r"got uint16 \(48, 48\)"),
        (np.zeros((48, 48, 3), np.float32), "got float32"),
        (np.zeros((48, 48, 4), np.uint8), r"got uint8 \(48, 48, 4\)"),
        (np.zeros((1, 48, 48, 3), np.uint8), r"got uint8 \(1, 48, 48, 3\)"),
        (np.zeros(48, np.uint8), r"got uint8 \(48,\)"),
        (np.zeros((0, 48), np.uint8), "no pixels"),
    ],
)
def test_what_is_no_picture_is_said(image: Any, got: str) -> None:
    with EmotionClassifier(INT8) as classifier, pytest.raises(ImageError, match=got):
        classifier.predict(image)


def test_pixels_that_are_not_prepared_for_the_model_get_no_answer() -> None:
    with EmotionClassifier(INT8) as classifier:
        for shape in ((64, 64, 1), (48, 48), (48, 48, 3)):
            with pytest.raises(ModelError, match=r"takes uint8 pixels \(48, 48, 1\), got uint8 \("):
                classifier.predict_prepared(np.full(shape, 255, np.uint8))


def test_a_class_is_reported_as_the_model_spells_it() -> None:
    metadata = ModelMetadata(("Dark", "Grey", "Bright"))
    with EmotionClassifier(INT8, metadata=metadata, classes=("bright", "dark")) as classifier:
        assert classifier.labels == ("Bright", "Dark")
        assert classifier.predict(grey(0)).label == "Dark"


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(OptionError, match="did you mean bright"):
        EmotionClassifier(INT8, classes=("bright", "brigth"))


def test_prediction_label_is_the_most_probable() -> None:
    assert Prediction({"a": 0.2, "b": 0.5, "c": 0.3}).label == "b"


def brightness_split(levels: list[int], labels: list[int], classes: tuple[str, ...]) -> Split:
    images = np.stack([grey(level)[:, :, None] for level in levels])
    return Split("validation", classes, images, np.array(labels), tuple(f"{i}.png" for i in range(len(levels))))


def test_evaluation_counts_what_the_model_gets_wrong() -> None:
    split = brightness_split([0, 10, 127, 250, 255], [0, 0, 1, 2, 0], ("dark", "grey", "bright"))
    with EmotionClassifier(INT8) as classifier:
        result = evaluate(classifier, split)
    assert result.metrics.accuracy == 0.8
    assert result.metrics.confusion[0] == (2, 0, 1)
    assert result.predicted.tolist() == [0, 0, 1, 2, 2]
