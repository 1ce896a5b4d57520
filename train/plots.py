"""Pictures of a run: accuracy and loss by epoch, and the confusion matrix."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..edge_runtime.atomic import write_atomically
from ..edge_runtime.errors import RuntimeMissingError
from ..edge_runtime.metrics import Metrics
from .checkpoint import EpochResult, best_of

TRAIN_COLOUR, VALIDATION_COLOUR, GREY = "#3b6fb6", "#d1632a", "#666666"
FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback")
"""For class names in characters that matplotlib's own font lacks, where one of these is installed."""


def require_matplotlib() -> None:
    """Raise RuntimeMissingError when the plots could not be drawn at the end."""
    if find_spec("matplotlib") is None:
        raise RuntimeMissingError.of_extra("train", "matplotlib is not installed")


def plot_history(history: Sequence[EpochResult], out: Path) -> None:
    """Write accuracy.png and loss.png. The two curves of one picture measure different things: see `EpochResult`."""
    best = best_of(history)
    if best is None:
        return
    epochs = [row.epoch for row in history]
    for name, learnt, train, validation in (
        ("accuracy", "targets", [row.accuracy for row in history], [row.val_accuracy for row in history]),
        ("loss", "weighted targets", [row.loss for row in history], [row.val_loss for row in history]),
    ):
        figure, axes = _figure((6.4, 4.0))
        axes.plot(epochs, train, color=TRAIN_COLOUR, label=f"training, against its {learnt}", marker="o", markersize=3)
        axes.plot(epochs, validation, color=VALIDATION_COLOUR, label="validation", marker="o", markersize=3)
        axes.axvline(best.epoch, color=GREY, linewidth=0.8, linestyle=":", label=f"best epoch ({best.epoch})")
        axes.set(xlabel="epoch", ylabel=name if name == "accuracy" else "cross-entropy (nats)")
        axes.set_title(f"{name.capitalize()}: best validation accuracy {100 * best.val_accuracy:.2f} %", fontsize=10)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.25)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)  # inside, the line may cross it
        _save(figure, out / f"{name}.png")


def plot_confusion(metrics: Metrics, out: Path) -> None:
    """Write confusion.png: each row is a true class and sums to 100 %; cells hold its share and number of images."""
    counts = np.array(metrics.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 1.2 + 0.75 * len(metrics.labels))
    figure, axes = _figure((size + 0.6, size))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    positions = range(len(metrics.labels))
    names = [label.replace("$", r"\$") for label in metrics.labels]  # which would begin a formula
    axes.set_xticks(positions, names, rotation=30, ha="right", family=_families())
    axes.set_yticks(positions, names, family=_families())
    axes.set(xlabel="predicted", ylabel="true")
    low, high = metrics.accuracy_ci95
    axes.set_title(
        f"n = {metrics.n}, accuracy {100 * metrics.accuracy:.2f} % ({100 * low:.1f}–{100 * high:.1f})", fontsize=10
    )
    for row in positions:
        for column in positions:
            text = f"{100 * shares[row, column]:.0f} %\n{counts[row, column]}"
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    _save(figure, out / "confusion.png")


def _families() -> list[str]:
    from matplotlib.font_manager import fontManager  # which would warn of one that is not there

    installed = {font.name for font in fontManager.ttflist}
    return ["sans-serif", *(font for font in FONTS if font in installed)]


def _figure(size_in: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: no global state, no display

    figure = Figure(figsize=size_in, layout="constrained")
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box stands for it
        figure.savefig(buffer, format="png", dpi=130)
    write_atomically(path, buffer.getvalue())
