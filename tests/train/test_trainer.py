"""A run that is killed, interrupted or out of disk goes on as if nothing had happened."""

import csv
import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_emotion.edge_runtime import cli
from edge_emotion.edge_runtime import metadata as model_metadata
from edge_emotion.edge_runtime.dataset import open_dataset
from edge_emotion.edge_runtime.errors import EdgeEmotionError, OptionError
from edge_emotion.train.architectures import MobileNet, ResidualNetwork
from edge_emotion.train.batches import Batches
from edge_emotion.train.checkpoint import Checkpoint, EpochResult, read_history
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.keras_model import KerasClassifier
from edge_emotion.train.network import starting_point
from edge_emotion.train.presets import get_preset, quantisation_aware
from edge_emotion.train.run_data import RunData, load_data
from edge_emotion.train.runs import read_run
from edge_emotion.train.targets import hard_targets
from edge_emotion.train.trainer import averaged_weights, compiled, train
from edge_emotion.train.views import Views

pytestmark = pytest.mark.train

CLASSES = ("happy", "surprise")
PRESET = dataclasses.replace(
    get_preset("tiny"), architecture=ResidualNetwork(stem=8, stages=((8, 1),)), epochs=3, batch_size=10
)
CONFIG = TrainConfig(PRESET, CLASSES, seed=4)
COMMAND = ("train", "--preset", "tiny", "--epochs", "3", "--batch-size", "10", "--classes", ",".join(CLASSES))
STEPS = 3  # of an epoch: 24 images in tens

DIE = """
import os, signal, sys
from edge_emotion.edge_runtime.cli import main
from edge_emotion.train import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have had it ignored
number, at, steps = int(sys.argv[1]), int(sys.argv[2]), 0
def move(self, step, of):
    global steps
    steps += 1
    if steps == at:
        os.kill(os.getpid(), number)
cli._EpochBar.move = move
sys.argv = ["edge-emotion", *sys.argv[3:]]
main()
"""


GRADIENT = """
import dataclasses
import keras, numpy as np
from edge_emotion.train.config import TrainConfig
from edge_emotion.train.presets import get_preset
from edge_emotion.train.trainer import compiled

preset = dataclasses.replace(get_preset("seed"), optimizer="sgd", learning_rate=1.0)
bias = np.array([2, -1, 0.5], np.float32)
targets = np.array([[0.1, 0.2, 0.1], [2.5, 0, 0.5], [0, 1, 0]], np.float32)
probabilities = np.exp(bias) / np.exp(bias).sum()
gradient = (targets.sum(axis=1, keepdims=True) * probabilities - targets).mean(axis=0)
for precision in ("float32", "mixed_float16"):
    model = compiled(TrainConfig(preset, ("angry", "happy", "sad"), precision=precision), 1)
    head = model.layers[-1]
    head.set_weights([0 * head.get_weights()[0], bias])  # so each image has the biases for logits
    loss = float(model.train_on_batch(np.random.default_rng(0).random((3, 48, 48, 1), np.float32), targets)[0])
    np.testing.assert_allclose(loss, -(targets * np.log(probabilities)).sum(axis=1).mean(), rtol=1e-5)
    nesterov = 1 + 0.9  # times the gradient, in the first step
    np.testing.assert_allclose(head.get_weights()[1], bias - nesterov * gradient, rtol=1e-4, atol=1e-5)
print("right", keras.backend.backend())
"""


@pytest.fixture
def data(drawn_faces: Path, keras: Any) -> RunData:
    return load_data(open_dataset(drawn_faces), CONFIG)


@pytest.fixture(scope="module")
def uninterrupted(drawn_faces: Path, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of CONFIG that nothing disturbs."""
    return undisturbed(CONFIG, drawn_faces, tmp_path_factory.mktemp("uninterrupted"))


@pytest.fixture(scope="module")
def uninterrupted_command(drawn_faces: Path, keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of COMMAND that nothing disturbs."""
    preset = dataclasses.replace(get_preset("tiny"), epochs=3, batch_size=10)
    return undisturbed(TrainConfig(preset, CLASSES), drawn_faces, tmp_path_factory.mktemp("command"))


def interrupt(config: TrainConfig, data: RunData, out: Path, epochs_before: int) -> None:
    """Train from nothing and stop after so many epochs, or with 0 in the first one."""

    def stop(row: EpochResult) -> None:
        if row.epoch == epochs_before:
            raise KeyboardInterrupt

    def stop_at_once(step: int, steps: int) -> None:
        if epochs_before == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, data, out, on_epoch=stop, on_step=stop_at_once)


def undisturbed(config: TrainConfig, faces: Path, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_EMOTION_CACHE", str(folder / "cache"))
        train(config, load_data(open_dataset(faces), config), folder / "run")
    return folder / "run"


def assert_same_run(one: Path, other: Path) -> None:
    """History, optimiser state with the averages, and both saved models, bit for bit."""
    histories = [[dataclasses.replace(row, images_per_s=0) for row in read_history(p)] for p in (one, other)]
    assert histories[0] == histories[1]
    with np.load(one / "resume.npz") as a, np.load(other / "resume.npz") as b:
        assert a.files == b.files
        for name in a.files:
            if name != "history":
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    for name in ("model.keras", "last.keras"):
        models = [KerasClassifier.open(p / name) for p in (one, other)]
        for a_weight, b_weight in zip(*(m.model.get_weights() for m in models), strict=True):
            np.testing.assert_array_equal(a_weight, b_weight, err_msg=name)
        assert models[0].metadata == models[1].metadata
    records = [json.loads((p / "run.json").read_text()) for p in (one, other)]
    for key in ("metrics", "best_epoch", "epochs_done", "config", "parameters"):
        assert records[0][key] == records[1][key]


def test_a_run_leaves_what_it_should(uninterrupted: Path, drawn_faces: Path) -> None:
    assert {p.name for p in uninterrupted.iterdir()} == {
        "model.keras", "last.keras", "resume.npz", "run.json", "history.csv"
    }  # fmt: skip
    record = json.loads((uninterrupted / "run.json").read_text())
    assert record["data"]["train_counts"] == dict.fromkeys(CLASSES, 12)
    assert record["data"]["path"] == str(drawn_faces.resolve())
    assert record["backend"] == "tensorflow"
    assert record["config"] == json.loads(json.dumps(CONFIG.to_json()))
    assert record["versions"]["keras"]
    rows = list(csv.DictReader((uninterrupted / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = max(range(3), key=lambda i: (float(rows[i]["val_accuracy"]), -float(rows[i]["val_loss"])))
    assert record["best_epoch"] == best + 1
    measured = model_metadata.read(uninterrupted / "model.keras")
    assert measured is not None
    assert measured.measured is not None
    assert (
        measured.measured.accuracy
        == record["metrics"]["accuracy"]
        == pytest.approx(float(rows[best]["val_accuracy"]), abs=1e-6)
    )


def test_the_same_seed_trains_the_same(uninterrupted: Path, data: RunData, tmp_path: Path) -> None:
    train(CONFIG, data, tmp_path / "again")
    assert_same_run(tmp_path / "again", uninterrupted)


def test_the_saved_weights_are_the_average_not_the_last_step(uninterrupted: Path, keras: Any) -> None:
    saved = KerasClassifier.open(uninterrupted / "last.keras").model.get_weights()
    with np.load(uninterrupted / "resume.npz") as state:
        raw = [state[f"weight{i}"] for i in range(len(saved))]
    kernels = [i for i, weight in enumerate(saved) if weight.ndim == 4]
    assert all(not np.array_equal(saved[i], raw[i]) for i in kernels)


@pytest.mark.parametrize("epochs_before", [0, 1, 3])
def test_resuming_after_any_epoch_equals_the_uninterrupted_run(
    uninterrupted: Path, data: RunData, tmp_path: Path, epochs_before: int
) -> None:
    out = tmp_path / "run"
    interrupt(CONFIG, data, out, epochs_before)
    assert (out / "resume.npz").exists() == (epochs_before > 0)
    train(CONFIG, data, out, resume=True)
    assert_same_run(out, uninterrupted)
    assert len(read_run(out)["resumed"]) == 1


def test_dropout_goes_on_drawing_where_it_stopped(data: RunData, tmp_path: Path) -> None:
    network = MobileNet(side=32, stem=2, frozen=0, dropout=0.2)
    config = dataclasses.replace(CONFIG, preset=dataclasses.replace(PRESET, architecture=network, epochs=2))
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(config, data, whole)

    interrupt(config, data, parted, 1)
    train(config, data, parted, resume=True)
    assert_same_run(parted, whole)


def test_frozen_convolutions_need_a_start(data: RunData, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"first 5 convolutions of face .* --from START.keras .*frozen=0"):
        train(dataclasses.replace(CONFIG, preset=get_preset("face")), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_real_signal_in_mid_epoch_then_bare_resume(
    drawn_faces: Path,
    uninterrupted_command: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signal_name: str,
) -> None:
    number = int(getattr(signal, signal_name))
    in_third_epoch = str(2 * STEPS + 2)
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    arguments = [*COMMAND, "--data", str(drawn_faces)]
    done = subprocess.run(
        [sys.executable, "-c", DIE, str(number), in_third_epoch, *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.stdout.count("\nepoch ") == 2, done.stdout + done.stderr
    (out,) = (tmp_path / "runs").iterdir()
    if signal_name == "SIGKILL":
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.returncode == 130
        assert f"go on with: edge-emotion train --resume --out {Path('runs') / out.name}" in done.stderr
        assert "Traceback" not in done.stderr
        assert (out / "accuracy.png").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edge-emotion", "train", "--resume"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 0
    assert_same_run(out, uninterrupted_command)
    assert {"accuracy.png", "loss.png", "confusion.png"} <= {p.name for p in out.iterdir()}


@pytest.fixture
def failing_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A countdown in a list: when it reaches zero, that write and all later ones find the disk full."""
    left = [10**9]
    real = os.fsync

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    yield left
    left[0] = 10**9


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_full_disk_while_saving_leaves_the_previous_checkpoint_whole(
    uninterrupted: Path, data: RunData, tmp_path: Path, failing_disk: list[int], writes: int
) -> None:
    out = tmp_path / "run"
    before: dict[str, bytes] = {}

    def fill(row: EpochResult) -> None:
        before.update({p.name: p.read_bytes() for p in out.iterdir()})
        failing_disk[0] = writes

    with pytest.raises(OSError, match="No space left"):
        train(CONFIG, data, out, on_epoch=fill)
    assert {p.name for p in out.iterdir()} == set(before)  # no partial file stays
    changed = [name for name, content in before.items() if (out / name).read_bytes() != content]
    assert len(changed) <= writes
    for name in ("model.keras", "last.keras"):
        KerasClassifier.open(out / name)
    failing_disk[0] = 10**9
    train(CONFIG, data, out, resume=True)
    assert_same_run(out, uninterrupted)


def test_a_disk_that_fills_while_keras_writes_leaves_the_model_whole(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keras: Any
) -> None:
    out = tmp_path / "run"
    kept: list[bytes] = []

    def half_a_file(self: Any, path: Path, *args: Any, **kwargs: Any) -> None:
        Path(path).write_bytes(b"PK\x03\x04 half")
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(row: EpochResult) -> None:
        kept.append((out / "model.keras").read_bytes())
        monkeypatch.setattr(keras.Model, "save", half_a_file)

    with pytest.raises(OSError, match="No space left"):
        train(CONFIG, data, out, on_epoch=fill)
    assert (out / "model.keras").read_bytes() == kept[0]
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_saves_a_float32_model_and_resumes(data: RunData, tmp_path: Path, precision: str) -> None:
    config = dataclasses.replace(CONFIG, preset=dataclasses.replace(PRESET, epochs=2), precision=precision)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(config, data, whole)
    model = KerasClassifier.open(whole / "model.keras").model
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert all(np.isfinite(weight).all() for weight in model.get_weights())

    interrupt(config, data, parted, 1)
    train(config, data, parted, resume=True)
    assert_same_run(parted, whole)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_float16_alone_scales_the_loss(data: RunData, keras: Any, precision: str) -> None:
    model = compiled(dataclasses.replace(CONFIG, precision=precision), STEPS)
    scales = precision == "mixed_float16"
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == scales
    optimizer = model.optimizer.inner_optimizer if scales else model.optimizer
    batches = Batches(Views(data.train, PRESET.batch_size, 0), hard_targets(data.train), PRESET.input)
    model.train_on_batch(*batches[0])
    assert int(optimizer.iterations) == 1  # the gradients were finite
    to_numpy = keras.ops.convert_to_numpy
    for variable in optimizer._model_variables_moving_average:
        variable.assign(keras.ops.full(variable.shape, 0.5))
    trainable = {id(variable) for variable in model.trainable_variables}
    for variable, weight in zip(model.weights, averaged_weights(model, to_numpy), strict=True):
        np.testing.assert_array_equal(weight, 0.5 if id(variable) in trainable else to_numpy(variable))


@pytest.mark.parametrize("part", ["weights", "optimizer"])
def test_the_state_of_another_network_or_optimiser_is_refused(
    uninterrupted: Path, data: RunData, tmp_path: Path, part: str
) -> None:
    out = tmp_path / "run"
    shutil.copytree(uninterrupted, out)
    state = Checkpoint.load(out)
    getattr(state, part).pop()
    state.save(out)
    with pytest.raises(EdgeEmotionError, match="another version"):
        train(CONFIG, data, out, resume=True)


def test_the_seed_recipe_trains_too(data: RunData, tmp_path: Path) -> None:
    preset = dataclasses.replace(get_preset("seed"), epochs=1)
    metrics = train(TrainConfig(preset, CLASSES), data, tmp_path)
    assert metrics.n == 8
    assert read_history(tmp_path)[0].learning_rate == pytest.approx(1e-4)


@pytest.mark.parametrize(("epochs", "momentum"), [(1, 4 / 14), (5, 20 / 30), (1000, 0.95)])
def test_the_average_of_a_short_run_outgrows_its_beginning(keras: Any, epochs: int, momentum: float) -> None:
    preset = dataclasses.replace(get_preset("tiny"), epochs=epochs)
    assert compiled(TrainConfig(preset, CLASSES), 4).optimizer.ema_momentum == pytest.approx(momentum)


@pytest.mark.parametrize(("epochs", "peak"), [(1, 2), (2, 4), (3, 6), (10, 8)])
def test_a_short_run_comes_down_from_its_warm_up(keras: Any, epochs: int, peak: int) -> None:
    preset = dataclasses.replace(get_preset("tiny"), epochs=epochs, warmup_epochs=2)
    schedule = compiled(TrainConfig(preset, CLASSES), 4).optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(4 * epochs + 1)]
    assert rates.index(max(rates)) == peak
    assert rates[peak] == pytest.approx(preset.learning_rate)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adamw"])
def test_weights_decay_under_every_optimiser(keras: Any, name: Any) -> None:
    preset = dataclasses.replace(PRESET, optimizer=name, weight_decay=0.5, learning_rate=0.1)
    optimizer = compiled(TrainConfig(preset, CLASSES), 1).optimizer
    assert optimizer.weight_decay == 0.5
    kernel, bias = (keras.Variable(np.ones(2, np.float32), name=name) for name in ("kernel", "bias"))
    optimizer.build([kernel, bias])
    optimizer.apply([keras.ops.zeros(2), keras.ops.zeros(2)])
    assert (kernel.numpy() < 1).all()
    assert (bias.numpy() == 1).all()


@pytest.mark.parametrize("average_momentum", [None, 0.95])
def test_a_diverged_run_is_one_clear_line_and_keeps_what_was_before(
    data: RunData, tmp_path: Path, average_momentum: float | None
) -> None:
    preset = dataclasses.replace(PRESET, learning_rate=1e30, average_momentum=average_momentum)
    config = dataclasses.replace(CONFIG, preset=preset)
    with pytest.raises(EdgeEmotionError, match=r"epoch 1: the network gives NaN .* lower learning_rate"):
        train(config, data, tmp_path)
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"run.json"}


def test_the_learning_rate_warms_up_and_falls_to_nothing(uninterrupted: Path) -> None:
    rates = [row.learning_rate for row in read_history(uninterrupted)]
    assert rates[0] == pytest.approx(PRESET.learning_rate)
    assert rates[0] > rates[1] > rates[2]
    assert rates[2] == pytest.approx(0, abs=1e-9)


def test_resuming_something_else_is_refused(uninterrupted: Path, data: RunData, tmp_path: Path) -> None:
    with pytest.raises(EdgeEmotionError, match="other settings"):
        train(dataclasses.replace(CONFIG, seed=5), data, uninterrupted, resume=True)
    fewer = dataclasses.replace(data, train=data.train.take(np.arange(20)))
    with pytest.raises(EdgeEmotionError, match="other images"):
        train(CONFIG, fewer, uninterrupted, resume=True)
    with pytest.raises(EdgeEmotionError, match="not a run folder"):
        train(CONFIG, data, tmp_path, resume=True)
    shutil.copy(uninterrupted / "run.json", tmp_path)  # of a finished run
    with pytest.raises(EdgeEmotionError, match="nothing to resume"):
        train(CONFIG, data, tmp_path, resume=True)
    (tmp_path / "resume.npz").write_bytes((uninterrupted / "resume.npz").read_bytes()[:500])
    with pytest.raises(EdgeEmotionError, match="nothing to resume"):
        train(CONFIG, data, tmp_path, resume=True)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", *(["torch"] if find_spec("torch") else [])])
def test_a_row_of_targets_that_sums_to_a_weight_weighs_its_gradient(backend: str) -> None:
    pytest.importorskip(backend, reason="needs the dev extra")
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = [sys.executable, "-c", GRADIENT]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["right", backend], done.stderr[-2000:]


@pytest.mark.parametrize("backend", ["jax", *(["torch"] if find_spec("torch") else [])])
def test_another_backend_trains_a_model_that_tensorflow_evaluates(
    drawn_faces: Path, keras: Any, tmp_path: Path, backend: str
) -> None:
    pytest.importorskip("jax" if backend == "jax" else "torch", reason="needs the dev extra")
    from edge_emotion.edge_runtime.evaluate import evaluate

    arguments = [*COMMAND, "--epochs", "1", "--data", str(drawn_faces), "--out", "run", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edge_emotion.edge_runtime.cli", *arguments],
        cwd=tmp_path, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["backend"] == backend
    assert record["device"].startswith(f"{backend} on ")
    split = open_dataset(drawn_faces).load("validation", classes=CLASSES)
    result = evaluate(KerasClassifier.open(tmp_path / "run" / "model.keras"), split)
    assert result.metrics.accuracy == record["metrics"]["accuracy"]


@pytest.mark.parametrize(("views", "epochs_before"), [(0, 1), (2, 1), (2, 0)])
def test_soft_labels_are_kept_so_that_a_resumed_run_needs_no_teacher(
    uninterrupted: Path, data: RunData, tmp_path: Path, views: int, epochs_before: int
) -> None:
    teacher = tmp_path / "teacher.keras"
    shutil.copy(uninterrupted / "model.keras", teacher)
    config = dataclasses.replace(CONFIG, teachers=(str(teacher),), teacher_weight=0.5, teacher_views=views)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(config, data, whole)

    interrupt(config, data, parted, epochs_before)
    teacher.unlink()
    train(config, data, parted, resume=True)
    assert_same_run(parted, whole)
    assert list(read_run(parted)["models"]) == [str(teacher)]
    soft = np.load(parted / "targets.npy")
    assert soft.shape == ((views,) if views else ()) + (len(data.train), len(CLASSES))
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-5)
    assert 0.5 < soft.max(axis=-1).mean() < 1


def test_a_broken_file_of_targets_is_one_clear_line(uninterrupted: Path, data: RunData, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, teachers=(str(uninterrupted / "model.keras"),))
    interrupt(config, data, tmp_path, 1)
    (tmp_path / "targets.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(EdgeEmotionError, match="nothing to resume"):
        train(config, data, tmp_path, resume=True)
    (tmp_path / "targets.npy").unlink()
    with pytest.raises(EdgeEmotionError, match=r"nothing to resume .*targets\.npy"):
        train(config, data, tmp_path, resume=True)


def test_a_start_from_trained_weights_begins_where_they_ended(
    uninterrupted: Path, data: RunData, tmp_path: Path
) -> None:
    still = dataclasses.replace(PRESET, epochs=1, learning_rate=1e-9, warmup_epochs=0, augmentation=None)
    config = TrainConfig(still, CLASSES, initial=str(uninterrupted / "last.keras"))
    train(config, data, tmp_path)
    ended, began = read_history(uninterrupted)[-1], read_history(tmp_path)[0]
    assert began.val_accuracy == pytest.approx(ended.val_accuracy, abs=0.13)  # one image of eight: norms move on
    fresh, moved = (KerasClassifier.open(p / "last.keras") for p in (tmp_path, uninterrupted))
    for one, other in zip(fresh.model.trainable_weights, moved.model.trainable_weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)


def test_a_run_with_rounding_saves_a_plain_network_and_resumes(
    uninterrupted: Path, data: RunData, tmp_path: Path
) -> None:
    initial = tmp_path / "initial.keras"
    shutil.copy(uninterrupted / "model.keras", initial)
    preset = dataclasses.replace(quantisation_aware(PRESET, PRESET.input), epochs=2)
    config = dataclasses.replace(CONFIG, preset=preset, initial=str(initial), qat=True)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    train(config, data, whole)
    model = KerasClassifier.open(whole / "model.keras").model
    kinds = {type(layer).__name__ for layer in model.layers}
    assert kinds == {"InputLayer", "Conv2D", "ReLU", "Add", "GlobalAveragePooling2D", "Dense"}

    interrupt(config, data, parted, 1)
    initial.unlink()
    train(config, data, parted, resume=True)
    assert_same_run(parted, whole)
    assert list(read_run(parted)["models"]) == [str(initial)]


def test_rounding_is_what_is_trained_with(uninterrupted: Path, data: RunData, tmp_path: Path, keras: Any) -> None:
    preset = quantisation_aware(PRESET, PRESET.input)
    config = dataclasses.replace(CONFIG, preset=preset, initial=str(uninterrupted / "model.keras"), qat=True)
    images, targets = Batches(Views(data.train, 10, 0), hard_targets(data.train), preset.input)[0]
    model = compiled(config, STEPS)
    model.set_weights(starting_point(config, uninterrupted / "model.keras").get_weights())
    before = model.get_weights()
    logits = [m.predict_on_batch(images) for m in (model, starting_point(config, uninterrupted / "model.keras"))]
    assert 0 < np.abs(logits[0] - logits[1]).max() < 0.2 * np.abs(logits[1]).max()
    model.train_on_batch(images, targets)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert all(changed)  # every kernel and bias gets a gradient through the rounding


def test_teachers_that_are_interrupted_leave_no_folder_behind(
    drawn_faces: Path, keras: Any, uninterrupted: Path, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    config = dataclasses.replace(CONFIG, teachers=(str(uninterrupted / "model.keras"),))
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(config, load_data(open_dataset(drawn_faces), config), out, on_teachers=interrupt)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(KeyboardInterrupt):
        train(config, load_data(open_dataset(drawn_faces), config), out, on_teachers=interrupt)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
