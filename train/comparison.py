"""What did a change of recipe bring? `python -m edge_emotion.train.comparison RUN RUN… --data faces.zip`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..edge_runtime import console, options
from ..edge_runtime.cli import StageCommand, main
from ..edge_runtime.dataset import open_dataset
from ..edge_runtime.errors import OptionError
from ..edge_runtime.evaluate import evaluate, load_split_for
from ..edge_runtime.metrics import PairedComparison, compare
from .checkpoint import LAST_FILE
from .keras_model import KerasClassifier
from .runs import read_run

WITHOUT = ("name", "description")
"""Settings of a preset that change nothing."""


@dataclass(frozen=True)
class ComparedRun:
    """A run beside the first one. changes: its settings that differ, as (name, value). recalls: by class."""

    run: str
    changes: tuple[tuple[str, Any], ...]
    accuracy: float
    accuracy_ci95: tuple[float, float]
    recalls: Mapping[str, float]
    against_first: PairedComparison

    def to_json(self) -> dict[str, Any]:
        """JSON-ready dict."""
        return {
            "run": self.run,
            "changes": dict(self.changes),
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "recalls": dict(self.recalls),
            "against_first": self.against_first.to_json(),
        }


app = typer.Typer(add_completion=False)


@app.command(cls=StageCommand)
def comparison(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is what the others are compared with.")],
    data: options.Data,
    split: options.SplitName = "validation",
    as_json: options.Json = False,
) -> None:
    """Accuracy of runs on the same images, image by image against the first one, and the settings that differ.

    The last epoch of each is taken, so that no look at the images has chosen it.
    Example: `python -m edge_emotion.train.comparison runs/base runs/mixup --data faces.zip`
    """
    with console.foreign_output_to_stderr():
        compared = compare_runs(runs, data, split)
    if as_json:
        console.emit_json({"schema_version": 1, "split": split, "runs": [run.to_json() for run in compared]})
        return
    rows = []
    for run in compared:
        lost, (low, high) = run.against_first.drop_pp, run.against_first.drop_ci95_pp
        hardest = min(run.recalls, key=lambda name: run.recalls[name])
        rows.append(
            [
                run.run,
                ", ".join(f"{name} {value}" for name, value in run.changes) or "—",
                console.percent_ci(run.accuracy, run.accuracy_ci95),
                f"{0 - lost:+.2f} ({0 - high:+.2f} to {0 - low:+.2f})",
                f"{run.against_first.mcnemar_p:.3f}",
                f"{hardest} {console.percent(run.recalls[hardest], 1)}",
            ]
        )
    header = ["run", "changed", "accuracy", "points gained", "McNemar p", "lowest recall"]
    console.emit(console.table(header, rows, left=2))
    console.emit(f"\n{split} of {data}, n = {compared[0].against_first.n}")


def compare_runs(runs: list[Path], data: Path, split: str) -> list[ComparedRun]:
    """Evaluate the runs' last epochs. Raises OptionError when they have other classes than the first."""
    dataset, compared, first = open_dataset(data), [], None
    names = [run.name for run in runs]
    settings = {run: dict(_settings(read_run(run)["config"])) for run in runs}
    with console.progress("evaluating") as bar:
        for done, run in enumerate(runs):
            model = KerasClassifier.open(run / LAST_FILE)
            images = load_split_for(model, dataset, split, None)
            if first is not None and images.classes != first.split.classes:
                raise OptionError(f"{run} knows other classes than {runs[0]}: they cannot be compared")
            result = evaluate(model, images)
            first = first or result
            base = settings[runs[0]]
            compared.append(
                ComparedRun(
                    run=run.name if names.count(run.name) == 1 else str(run),
                    changes=tuple((k, v) for k, v in settings[run].items() if k not in base or v != base[k]),
                    accuracy=result.metrics.accuracy,
                    accuracy_ci95=result.metrics.accuracy_ci95,
                    recalls={name: one.recall for name, one in result.metrics.per_class.items()},
                    against_first=compare(first.predicted, result.predicted, images.labels),
                )
            )
            bar(done + 1, len(runs))
    return compared


def _settings(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by name, those of the preset's parts as `augmentation.erase`."""
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _settings(value, "" if key == "preset" else f"{name}.")
        elif name not in WITHOUT:
            yield name, value


if __name__ == "__main__":
    main(app, "python -m edge_emotion.train.comparison")
