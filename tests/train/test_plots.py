from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.errors import RuntimeMissingError
from edge_emotion.edge_runtime.metrics import score
from edge_emotion.train import plots
from edge_emotion.train.checkpoint import EpochResult

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def needs_matplotlib() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the train extra)")


def history(epochs: int) -> list[EpochResult]:
    return [EpochResult(i, 2 / i, 1 - 1 / i, 2 / i, 1 - 1 / (i + 1), 900.0, 0.1) for i in range(1, epochs + 1)]


def drawn(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


@pytest.mark.parametrize("epochs", [1, 2, 200])
def test_accuracy_and_loss_show_both_curves(tmp_path: Path, epochs: int) -> None:
    plots.plot_history(history(epochs), tmp_path)
    for name in ("accuracy.png", "loss.png"):
        image = drawn(tmp_path / name).astype(int)
        for colour in (plots.TRAIN_COLOUR, plots.VALIDATION_COLOUR):
            bgr = [int(colour[i : i + 2], 16) for i in (5, 3, 1)]
            assert (np.abs(image - bgr).max(axis=2) < 12).sum() > 20


def test_the_legend_says_that_training_is_measured_against_what_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    plots.plot_history(history(2), Path())
    legends = [[text.get_text() for text in figure.legends[0].get_texts()][:2] for figure in figures]
    assert legends == [
        ["training, against its targets", "validation"],
        ["training, against its weighted targets", "validation"],
    ]


@pytest.mark.parametrize("epochs", [1, 10])
def test_nothing_is_drawn_through_the_legend_and_epochs_are_whole(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    plots.plot_history(history(epochs), Path())
    for figure in figures:
        figure.draw_without_rendering()
        (axes,) = figure.axes
        legend = axes.get_legend() or figure.legends[0]
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_no_history_draws_nothing(tmp_path: Path) -> None:
    plots.plot_history([], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [2, 7])
def test_confusion_is_dark_on_the_diagonal_of_a_perfect_model(tmp_path: Path, classes: int) -> None:
    labels = np.repeat(np.arange(classes), 5)
    probabilities = np.eye(classes, dtype=np.float32)[labels]
    plots.plot_confusion(score(probabilities, labels, [f"class{i}" for i in range(classes)]), tmp_path)
    image = drawn(tmp_path / "confusion.png")
    dark_blue = (image[..., 0] > image[..., 2].astype(int) + 60) & (image[..., 2] < 40)
    assert dark_blue.mean() > 0.5 / classes**2 * classes * 0.3


def test_a_missing_matplotlib_is_said_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(RuntimeMissingError, match=r"pip install '\.\[train\]'"):
        plots.require_matplotlib()


def test_a_class_may_be_named_like_a_formula(tmp_path: Path) -> None:
    plots.plot_confusion(score(np.eye(2, dtype=np.float32), np.array([0, 1]), ["$a_$", "b"]), tmp_path)
    assert drawn(tmp_path / "confusion.png").size


@pytest.mark.parametrize("installed", [True, False])
def test_a_class_may_be_named_in_any_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    import matplotlib.text

    families: set[tuple[str, ...]] = set()
    real = matplotlib.text.Text.draw

    def draw(self: Any, *args: Any) -> Any:
        if self.get_text() == "\u5f00\u5fc3":
            families.add(tuple(self.get_fontfamily()))
        return real(self, *args)

    monkeypatch.setattr(matplotlib.text.Text, "draw", draw)
    monkeypatch.setattr(plots, "FONTS", ("No Such Font", *(["STIXGeneral"] if installed else [])))
    plots.plot_confusion(score(np.eye(2, dtype=np.float32), np.array([0, 1]), ["\u5f00\u5fc3", "b"]), tmp_path)
    assert families == {("sans-serif", "STIXGeneral") if installed else ("sans-serif",)}
    assert drawn(tmp_path / "confusion.png").size
