"""The whole conversion on networks whose right answers are known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.convert import verification
from edge_emotion.convert.calibration import Calibration
from edge_emotion.convert.contract import Contract
from edge_emotion.convert.conversion import Conversion
from edge_emotion.convert.converter import convert_model
from edge_emotion.convert.graph import read_graph
from edge_emotion.convert.recipes import FLOAT32, INT8, Recipe
from edge_emotion.convert.reports import write_reports
from edge_emotion.convert.source import source_sha256
from edge_emotion.convert.targets import Reference, Verdict
from edge_emotion.edge_runtime import metadata
from edge_emotion.edge_runtime.classifier import EmotionClassifier
from edge_emotion.edge_runtime.dataset import Split
from edge_emotion.edge_runtime.errors import DatasetError, ModelError, OptionError
from edge_emotion.edge_runtime.metadata import ModelMetadata

from .conftest import BIAS, LABELS, dense_kernel

pytest.importorskip("tensorflow", reason="needs the train extra (TensorFlow)")
pytestmark = pytest.mark.train

WILD = 1000.0
"""A weight that makes the int8 kernel's one scale so coarse that every other weight becomes zero."""

Maker = Callable[[float], Path]


@pytest.fixture(scope="module")
def all_four(keras_model: Maker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Conversion, Split, Calibration]:
    from .conftest import SPEC, shades

    validation, training = shades("validation", 40, 1), shades("train", 60, 2)
    calibration = Calibration.from_split(training, 60, validation=validation)
    declared = ModelMetadata(LABELS, SPEC, name="shades")
    out = tmp_path_factory.mktemp("converted")
    result = convert_model(keras_model(0.0), out, calibration=calibration, validation=validation, declared=declared)
    return result, validation, calibration


def test_each_precision_gives_a_whole_file_that_the_device_path_runs(
    all_four: tuple[Conversion, Split, Calibration],
) -> None:
    result, validation, _ = all_four
    assert [output.recipe.name for output in result.outputs] == ["float32", "float16", "dynamic", "int8"]
    for output in result.outputs:
        assert output.path.name == f"shades-{output.recipe.name}.tflite"
        assert output.size_bytes == output.path.stat().st_size
        with EmotionClassifier(output.path) as classifier:
            predicted = classifier.logits(validation.images).argmax(axis=1)
        np.testing.assert_array_equal(predicted, validation.labels)  # the network is always right on these
        assert output.cost is not None
        assert output.evaluation is not None
        assert (output.evaluation.metrics.accuracy, output.cost.paired.drop_pp, output.cost.paired.flips) == (1, 0, 0)
        assert output.runs_on["litert"].verdict == "runs"
        assert output.partitions == 1


def test_the_float_file_computes_the_network(all_four: tuple[Conversion, Split, Calibration]) -> None:
    result, validation, _ = all_four
    expected = validation.images.reshape(len(validation), -1) / 255.0 @ dense_kernel().astype(np.float64) + BIAS
    with EmotionClassifier(result.outputs[0].path) as classifier:
        np.testing.assert_allclose(classifier.logits(validation.images), expected, atol=1e-4)


def test_the_int8_file_rounds_as_numpy_does_in_float64(all_four: tuple[Conversion, Split, Calibration]) -> None:
    """The integers inside the file, multiplied out by hand, are its answers to within one step of the output."""
    result, validation, _ = all_four
    output = result.outputs[3]
    graph = read_graph(metadata.strip(output.path.read_bytes()))
    (dense,) = (op for op in graph.operators if op.name == "FULLY_CONNECTED")
    kernel, bias = graph.tensors[dense.inputs[1]], graph.tensors[dense.inputs[2]]
    pixels = graph.tensors[graph.inputs[0]]
    assert (pixels.dtype, pixels.zero_points) == ("INT8", (-128,))
    assert pixels.scales[0] == pytest.approx(1 / 255, rel=1e-6)  # a pixel value is exactly one integer
    real = validation.images.reshape(len(validation), -1).astype(np.float64) * pixels.scales[0]
    logits = real @ kernel.values().T + bias.values()
    out = graph.tensors[graph.outputs[0]]
    step, zero = out.scales[0], out.zero_points[0]
    expected = (np.clip(np.rint(logits / step) + zero, -128, 127) - zero) * step
    with EmotionClassifier(output.path) as classifier:
        np.testing.assert_allclose(classifier.logits(validation.images), expected, atol=step * 1.001)


def test_metadata_tells_where_the_file_comes_from(
    all_four: tuple[Conversion, Split, Calibration], keras_model: Maker
) -> None:
    result, validation, calibration = all_four
    for output in result.outputs:
        known = metadata.read(output.path)
        assert known is not None
        assert known.labels == LABELS
        assert known.precision == output.recipe.name
        assert known.source_sha256 == source_sha256(keras_model(0.0))
        assert known.outputs == "logits"
        assert known.measured is not None
        assert (known.measured.accuracy, known.measured.n) == (1.0, 120)
        assert known.measured.data_sha256 == validation.sha256
        assert known.temperature == pytest.approx(0.37, abs=0.05)  # all right: as sure as 120 images allow
        assert known.min_runtime == read_graph(metadata.strip(output.path.read_bytes())).min_runtime
        assert "tensorflow" in known.tools
        record = metadata.parse_conversion(output.path.read_bytes())
        assert record is not None
        if output.recipe.precision == "int8":
            assert known.calibration_sha256 == calibration.sha256
            assert record["calibration"]["files"] == list(calibration.files)
        else:
            assert known.calibration_sha256 == ""
            assert record["calibration"] is None


def test_json_has_the_documented_keys(all_four: tuple[Conversion, Split, Calibration], tmp_path: Path) -> None:
    result, _, _ = all_four
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert set(document) >= {"schema_version", "source", "outputs", "contract"}
    wanted = {"path", "precision", "size_bytes", "accuracy", "drop_pp", "agreement", "flips", "min_runtime", "runs_on"}
    assert all(set(output) >= wanted for output in document["outputs"])
    assert document["contract"] == {**document["contract"], "n": 120, "enforced": False, "met": True}
    names = {path.name for path in write_reports(result, tmp_path)}
    assert {"conversion.json", "int8-flips.json", "int8-layers.json", "int8-layers.png"} <= names
    assert "int8-flips.png" not in names  # nothing flipped


Wild = Callable[..., Conversion]


@pytest.fixture
def convert_wild(
    keras_model: Maker, tmp_path: Path, validation: Split, training: Split, declared: ModelMetadata
) -> Wild:
    """Converts, to int8, a network that int8 ruins."""

    def convert(validation: Split | None = validation, **options: object) -> Conversion:
        return convert_model(
            keras_model(WILD),
            tmp_path,
            recipes=(INT8,),
            calibration=Calibration.from_split(training, 60, validation=validation),
            validation=validation,
            declared=declared,
            **options,  # type: ignore[arg-type]
        )

    return convert


def test_a_file_that_breaks_the_contract_is_rejected(convert_wild: Wild, tmp_path: Path) -> None:
    """Only the bias is left, corrected for a face of mean brightness: of three balanced classes `grey` remains."""
    contract = Contract(explicit=True)
    result = convert_wild(contract=contract)
    (output,) = result.outputs
    assert output.cost is not None
    assert output.cost.paired.drop_pp == pytest.approx(200 / 3)
    assert output.cost.class_drop_pp == pytest.approx({"dark": 100, "grey": 0, "bright": 100})
    assert output.flips is not None
    assert output.flips.pairs == {"bright → grey": 40, "dark → grey": 40}
    assert result.unmet == (output,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shades-int8.tflite.rejected"]
    assert "accuracy fell by 66.67 pp" in output.breaches[0]
    assert result.to_json()["contract"]["met"] is False
    assert "int8-flips.png" in {p.name for p in write_reports(result, tmp_path / "reports")}


def test_garbage_is_rejected_unless_enough_images_tell_what_it_costs(
    convert_wild: Wild, tmp_path: Path, validation: Split
) -> None:
    """Nothing but the bias is left of the int8 file: one label for all images."""
    for images in (None, validation):
        (tmp_path / "shades-int8.tflite").write_text("of an earlier conversion")
        result = convert_wild(images)
        (output,) = result.outputs
        assert output.runs_on["litert"].verdict == "garbage"
        assert output.breaches[0].startswith("garbage: litert")
        assert result.unmet == (output,)
        assert result.to_json()["contract"]["met"] is False
        assert [p.name for p in tmp_path.iterdir()] == ["shades-int8.tflite.rejected"]
    (measured,) = convert_wild(contract=Contract(100, explicit=True)).outputs
    assert measured.runs_on["litert"].verdict == "garbage"
    assert not measured.rejected


def test_fix_mends_garbage_where_no_limit_is_enforced(convert_wild: Wild, tmp_path: Path) -> None:
    result = convert_wild(fix=True)
    assert result.unmet == ()
    assert result.to_json()["contract"]["met"] is True
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shades-int8-mixed.tflite", "shades-int8.tflite.rejected"]


def test_a_file_that_does_not_run_is_rejected_and_not_measured(
    keras_model: Maker, tmp_path: Path, validation: Split, declared: ModelMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "judge", judged_as("fails"))
    contract = Contract(100, explicit=True)
    (output,) = convert_model(
        keras_model(0.0), tmp_path, recipes=(FLOAT32,), validation=validation, declared=declared, contract=contract
    ).outputs
    assert output.rejected
    assert output.evaluation is None
    assert output.breaches == ("fails: said by a test",)


def test_fix_leaves_alone_what_does_not_run(convert_wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "judge", judged_as("fails"))
    result = convert_wild(fix=True)
    assert [output.rejected for output in result.outputs] == [True]


def judged_as(verdict: str) -> Callable[..., object]:
    return lambda *_: ({"litert": Verdict(verdict, "said by a test")}, 0)  # type: ignore[arg-type]


def test_few_images_report_and_do_not_enforce(convert_wild: Wild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "judge", judged_as("runs"))
    result = convert_wild()
    (output,) = result.outputs
    assert output.breaches
    assert not output.rejected
    assert result.unmet == ()
    assert output.path.suffix == ".tflite"


def test_fix_keeps_the_layer_in_float_that_hurts(convert_wild: Wild, tmp_path: Path) -> None:
    contract = Contract(explicit=True)
    result = convert_wild(contract=contract, fix=True)
    broken, repaired = result.outputs
    assert broken.rejected
    assert repaired.recipe.name == "int8-mixed"
    assert repaired.cost is not None
    assert repaired.cost.paired.drop_pp == 0
    assert result.unmet == ()
    graph = read_graph(metadata.strip(repaired.path.read_bytes()))
    dense = [op for op in graph.operators if op.name == "FULLY_CONNECTED"]
    assert [graph.tensors[op.outputs[0]].dtype for op in dense] == ["FLOAT32"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shades-int8-mixed.tflite", "shades-int8.tflite.rejected"]
    assert result.to_json()["contract"]["met"] is True


def test_fix_keeps_as_many_layers_as_it_takes(
    tmp_path: Path, validation: Split, training: Split, declared: ModelMetadata
) -> None:
    """Two layers side by side, each of them ruined: the one tells dark from grey, the other grey from bright."""
    from edge_emotion.train.keras_model import import_keras

    keras = import_keras()
    image = keras.Input((8, 8, 1))
    pixels = keras.layers.Flatten()(image)
    sides = [keras.layers.Dense(1, name=name)(pixels) for name in ("left", "right")]
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Concatenate()(sides)))
    for name, sign in (("left", 1), ("right", -1)):  # by how much the face is brighter, or darker, than the middle
        model.get_layer(name).set_weights([sign * dense_kernel(WILD)[:, :1] / -8, np.array([-sign / 2])])
    model.get_layer("logits").set_weights([np.array([[-8, 0, 0], [0, 0, -8]]), np.array([-1.2, 0.6, -1.2])])
    model.save(tmp_path / "sides.keras")
    result = convert_model(
        tmp_path / "sides.keras",
        tmp_path,
        recipes=(INT8,),
        calibration=Calibration.from_split(training, 60),
        validation=validation,
        declared=declared,
        contract=Contract(explicit=True),
        fix=True,
    )
    broken, repaired = result.outputs
    assert broken.rejected
    assert len(repaired.recipe.keep_float) == 2
    assert not repaired.rejected
    assert repaired.cost is not None
    assert repaired.cost.paired.flips == 0


def test_each_runtime_is_tried_on_images_of_all_classes(
    keras_model: Maker, tmp_path: Path, validation: Split, declared: ModelMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Reference] = []

    def judge(*given: Any) -> object:
        tried.append(given[-1])
        return judged_as("runs")()

    monkeypatch.setattr(verification, "judge", judge)
    convert_model(keras_model(0.0), tmp_path, recipes=(FLOAT32,), validation=validation, declared=declared)
    (reference,) = tried
    levels = reference.images.mean(axis=(1, 2, 3))
    assert np.bincount((levels // 80).astype(int)).tolist() == pytest.approx([len(levels) / 3] * 3, abs=1)
    assert reference.logits.argmax(axis=1).tolist() == (levels // 80).astype(int).tolist()


def test_a_layer_named_by_the_user_stays_float(convert_wild: Wild) -> None:
    result = convert_wild(keep_float=["logits"])
    (output,) = result.outputs
    assert output.path.name == "shades-int8-mixed.tflite"
    assert output.cost is not None
    assert output.cost.paired.flips == 0
    with pytest.raises(OptionError, match="no layer 'logit': did you mean logits"):
        convert_wild(keep_float=["logit"])


def test_a_good_file_takes_the_place_of_a_rejected_one(
    keras_model: Maker, tmp_path: Path, validation: Split, training: Split, declared: ModelMetadata
) -> None:
    (tmp_path / "shades-int8.tflite.rejected").write_text("of an earlier conversion")
    calibration = Calibration.from_split(training, 30)
    convert_model(
        keras_model(0.0), tmp_path, recipes=(INT8,), calibration=calibration, validation=validation, declared=declared
    )
    assert [p.name for p in tmp_path.iterdir()] == ["shades-int8.tflite"]


def test_a_rejected_file_takes_the_place_of_a_good_one(convert_wild: Wild, tmp_path: Path) -> None:
    (tmp_path / "for-edgetpu").mkdir()
    for earlier in ("shades-int8.tflite", "shades-int8_edgetpu.tflite", "for-edgetpu/shades-int8.tflite"):
        (tmp_path / earlier).write_text("of an earlier conversion")
    convert_wild(contract=Contract(explicit=True))
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["shades-int8.tflite.rejected"]


def test_float_input_and_output_give_the_same_answers(
    keras_model: Maker, tmp_path: Path, validation: Split, training: Split, declared: ModelMetadata
) -> None:
    calibration = Calibration.from_split(training, 30)
    logits = []
    for recipe in (INT8, Recipe("int8", io="float32")):
        (output,) = convert_model(
            keras_model(0.0), tmp_path / recipe.io, recipes=(recipe,), calibration=calibration, declared=declared
        ).outputs
        graph = read_graph(metadata.strip(output.path.read_bytes()))
        assert graph.tensors[graph.inputs[0]].dtype == recipe.io.upper()
        with EmotionClassifier(output.path) as classifier:
            logits.append(classifier.logits(validation.images))
    np.testing.assert_array_equal(logits[0], logits[1])


def test_without_validation_nothing_is_claimed(keras_model: Maker, tmp_path: Path, declared: ModelMetadata) -> None:
    result = convert_model(keras_model(0.0), tmp_path, recipes=(FLOAT32,), declared=declared)
    (output,) = result.outputs
    document = output.to_json()
    assert (document["accuracy"], document["drop_pp"], document["flips"]) == (None, None, None)
    assert output.metadata.measured is None
    assert result.to_json()["contract"]["met"] is None
    assert output.runs_on["litert"].verdict == "runs"  # still compared with the network, on noise


def test_what_is_missing_is_said(keras_model: Maker, tmp_path: Path, declared: ModelMetadata) -> None:
    model = keras_model(0.0)
    with pytest.raises(DatasetError, match="representative images"):
        convert_model(model, tmp_path, declared=declared)
    with pytest.raises(OptionError, match="needs validation images"):
        convert_model(model, tmp_path, recipes=(FLOAT32,), declared=declared, contract=Contract(explicit=True))
    with pytest.raises(OptionError, match="needs validation images"):
        convert_model(model, tmp_path, recipes=(FLOAT32,), declared=declared, contract=Contract(max_class_drop_pp=1))
    with pytest.raises(ModelError, match="--labels and --input"):
        convert_model(model, tmp_path, recipes=(FLOAT32,))


def test_an_interrupted_conversion_leaves_no_half_file(
    keras_model: Maker, tmp_path: Path, validation: Split, declared: ModelMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the second file is verified: the first is whole, of the second there is nothing."""
    from edge_emotion.convert.recipes import FLOAT16
    from edge_emotion.convert.verification import Verifier

    verify = Verifier.verify

    def interrupted(self: Verifier, flatbuffer: bytes, recipe: object, *rest: object) -> object:
        if recipe == FLOAT16:
            raise KeyboardInterrupt
        return verify(self, flatbuffer, recipe, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Verifier, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_model(keras_model(0.0), tmp_path, recipes=(FLOAT32, FLOAT16), validation=validation, declared=declared)
    (only,) = tmp_path.iterdir()
    assert only.name == "shades-float32.tflite"
    with EmotionClassifier(only) as classifier:
        assert classifier.labels == LABELS


def test_a_split_that_lacks_a_class_is_measured_on_the_others(
    keras_model: Maker, tmp_path: Path, declared: ModelMetadata
) -> None:
    from .conftest import shades

    whole = shades("validation", 10, 3)
    two = dataclasses.replace(whole.take(whole.labels < 2), classes=LABELS[:2])
    result = convert_model(keras_model(0.0), tmp_path, recipes=(FLOAT32,), validation=two, declared=declared)
    assert result.reference is not None
    assert result.reference.metrics.n == 20
    assert result.outputs[0].metadata.labels == LABELS
