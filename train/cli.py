"""`edge-emotion train`."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from ..edge_runtime import console, options
from ..edge_runtime.dataset import Dataset, open_dataset
from ..edge_runtime.errors import INTERRUPTED, EdgeEmotionError, OptionError
from ..edge_runtime.metrics import Metrics
from ..edge_runtime.parsing import parse_classes, parse_limit
from ..edge_runtime.zoo import resolve
from .checkpoint import MODEL_FILE, RESUME_FILE, EpochResult, read_history
from .config import PRECISIONS, TEACHER_VIEWS, TEACHER_WEIGHT, VOTES_WEIGHT, TrainConfig
from .keras_model import import_keras
from .presets import PRESETS, Preset, adjusted, fine_tuning, get_preset, quantisation_aware
from .run_data import RunData, load_data
from .runs import RUN_FILE, RUNS, new_folder, newest_unfinished, read_run
from .transfer import read_metadata, resolve_source


def train(
    data: options.OptionalData = None,
    preset: Annotated[str | None, typer.Option(help=f"Network and recipe: {', '.join(PRESETS)}.")] = None,
    classes: options.Classes = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")] = None,
    limit: Annotated[
        str | None, typer.Option(metavar="TRAIN[,VALIDATION]", help="At most so many images a class.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=options.HIGHEST_SEED, help="Of weights, order, augmentation and --limit (0)."),
    ] = None,
    precision: Annotated[str | None, typer.Option(help=f"Of the arithmetic: {', '.join(PRECISIONS)}.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting of the preset, as augmentation.erase=0."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from a .keras file, or in a clone from a bundled model by name; "
            "without --preset with a short, gentle recipe.",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Learn also from what this model says of each image; several allowed."),
    ] = None,
    teacher_weight: Annotated[
        float | None, typer.Option(help=f"The teachers' share in what is learnt ({TEACHER_WEIGHT}).")
    ] = None,
    teacher_views: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Ask teachers about so many augmented copies of each image, which the epochs take turns with "
            f"({TEACHER_VIEWS}); 0: about the image and its mirror image.",
        ),
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Learn also from annotators' votes, as of FER+.")
    ] = None,
    votes_weight: Annotated[float | None, typer.Option(help=f"The votes' share ({VOTES_WEIGHT}).")] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="With --from: train a few epochs more while rounding as an int8 file does.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --out, or with the newest unfinished run, as it was set up.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder; runs/TIME-PRESET by default.")] = None,
    as_json: options.Json = False,
) -> None:
    """Train a network on labelled face images, into a run folder that holds the model, its record and plots.

    Example: `edge-emotion train --data faces.zip --preset edge-s --classes angry,happy,neutral`
    """
    from .plots import require_matplotlib

    say = console.note if as_json else console.emit
    with console.foreign_output_to_stderr(), _terminate_as_interrupt():
        if resume:
            given: dict[str, object] = {"--preset": preset, "--classes": classes, "--epochs": epochs}
            given |= {"--batch-size": batch_size, "--limit": limit, "--seed": seed, "--precision": precision}
            given |= {"--from": start, "--teacher": teacher, "--teacher-weight": teacher_weight}
            given |= {"--teacher-views": teacher_views}
            given |= {"--set": settings, "--votes": votes, "--votes-weight": votes_weight, "--qat": qat or None}
            out, recorded = _recorded_run(out, [name for name, value in given.items() if value is not None])
            if "metrics" in recorded:
                say(_finished(out, recorded))
                if as_json:
                    console.emit_json(_result(out))
                return
            config = TrainConfig.from_json(recorded["config"])
            dataset = open_dataset(data or recorded["data"]["path"])
            say(f"resuming {out}")
        else:
            data = _require(data, preset, start, qat)
            for detail, option, says, named in (
                (teacher_weight, "teacher-weight", "how much --teacher counts", teacher),
                (teacher_views, "teacher-views", "what --teacher is asked about", teacher),
                (votes_weight, "votes-weight", "how much --votes counts", votes),
            ):
                if detail is not None and not named:
                    raise OptionError(f"--{option} says {says}: give that too")
            initial = resolve_source(start) if start else None
            chosen = _override(_recipe(preset, initial, qat), epochs, batch_size, settings or ())
            wanted, limits = parse_classes(classes), parse_limit(limit)
            dataset = open_dataset(data)
            config = TrainConfig(
                preset=chosen,
                classes=wanted or dataset.classes,
                seed=seed or 0,
                precision=precision or "float32",
                limit=limits,
                initial=str(initial.resolve()) if initial else None,
                teachers=tuple(str(resolve(model).resolve()) for model in teacher or ()),
                teacher_weight=TEACHER_WEIGHT if teacher_weight is None else teacher_weight,
                teacher_views=TEACHER_VIEWS if teacher_views is None else teacher_views,
                votes=str(votes.resolve()) if votes else None,
                votes_weight=VOTES_WEIGHT if votes_weight is None else votes_weight,
                qat=qat,
            )
            _check_new(out, dataset)
        for split in ("train", "validation"):
            dataset.resolve_split(split)  # said before Keras is loaded, which takes seconds
        import_keras()
        require_matplotlib()
        try:
            with console.progress("decoding") as bar:
                run_data = load_data(dataset, config, bar)
            with contextlib.nullcontext(out) if out else new_folder(config.preset.name) as out:
                train_and_plot(config, run_data, out, say, resume=resume)
        except KeyboardInterrupt:
            _interrupted(out)
            raise typer.Exit(INTERRUPTED) from None
        if as_json:
            console.emit_json(_result(out))


def train_and_plot(
    config: TrainConfig,
    data: RunData,
    out: Path,
    say: Callable[[str], None],
    *,
    resume: bool = False,
    layers: bool = True,
) -> Metrics:
    """Train into `out` with a line an epoch through `say`, then draw the plots.

    An interrupted run is drawn as far as it went, and KeyboardInterrupt passes through.
    """
    from .plots import plot_confusion, plot_history
    from .trainer import train

    def on_start(summary: str, device: str) -> None:
        asking.close()
        say(summary if layers else summary.splitlines()[-1])
        images = f"{len(data.train)} training and {len(data.validation)} {data.validation.name} images"
        say(f"\n{config.preset.name}: {images} of {', '.join(config.classes)}")
        if data.findings:
            left_out = ", ".join(f"{n} {name}" for name, n in data.findings.counts().items() if n)
            say(f"left out of training: {left_out or 'nothing'}")
        say(f"device: {device}, {config.precision}\n")

    def on_epoch(row: EpochResult) -> None:
        bar.close()
        say(row.line(config.preset.epochs))

    asking, bar = _EpochBar("asking the teachers"), _EpochBar("training")
    try:
        metrics = train(
            config,
            data,
            out,
            resume=resume,
            on_epoch=on_epoch,
            on_step=bar.move,
            on_start=on_start,
            on_teachers=asking.move,
        )
    except BaseException:
        if (out / RESUME_FILE).exists():
            with contextlib.suppress(Exception):  # what ended the training is what is told
                plot_history(read_history(out), out)
        raise
    finally:
        asking.close()
        bar.close()
    plot_history(read_history(out), out)
    plot_confusion(metrics, out)
    accuracy = console.percent_ci(metrics.accuracy, metrics.accuracy_ci95)
    best = read_run(out)["best_epoch"]
    say(f"\nbest epoch {best}: {data.validation.name} accuracy {accuracy}, n = {metrics.n}")
    say(f"model: {out / MODEL_FILE}   record and plots: {out}/")
    return metrics


def _require(data: Path | None, preset: str | None, start: str | None, qat: bool) -> Path:
    """The data. Raises OptionError naming what a new run lacks, all of it."""
    missing = ["--data"] if data is None else []
    if qat and not start:
        missing.append("--from (the model that --qat goes on with)")
    elif not (preset or start):
        missing.append(f"--preset ({', '.join(PRESETS)}) or --from")
    if data is None or missing:
        raise OptionError(f"train needs {', and '.join(missing)}, or --resume to go on with a run")
    return data


def _check_new(out: Path | None, dataset: Dataset) -> None:
    """Raise EdgeEmotionError for a folder that holds a run, OptionError for one that holds or is for something else."""
    if (out or RUNS).resolve().is_relative_to(dataset.path.resolve()):
        raise OptionError(f"{out or RUNS} lies in the dataset, where its plots would be images: name another --out")
    if out is None:
        return
    if (out / RUN_FILE).exists():
        raise EdgeEmotionError(
            f"{out} holds a run: --resume --out {quote(str(out))} goes on with it, or name another --out"
        )
    if out.is_dir() and any(out.iterdir()):
        raise OptionError(f"{out} is not an empty folder, nor does it hold a run: name a new one with --out")


def _finished(out: Path, recorded: dict[str, Any]) -> str:
    start = quote(str(out / MODEL_FILE))
    return f"{out} is finished at epoch {recorded['epochs_done']}: to train on, start a new run with --from {start}"


def _result(out: Path) -> dict[str, Any]:
    """What --json prints of a finished run."""
    return {"run": str(out), "model": str(out / MODEL_FILE), **read_run(out)}


def _interrupted(out: Path | None) -> None:
    if out is None or not (out / RUN_FILE).exists():
        console.note("interrupted: nothing was trained yet")
        return
    kept = f"{out / MODEL_FILE} holds the best epoch so far; " if (out / MODEL_FILE).exists() else ""
    console.note(f"interrupted: {kept}go on with: edge-emotion train --resume --out {quote(str(out))}")


def _recorded_run(out: Path | None, given: list[str]) -> tuple[Path, dict[str, Any]]:
    if given:
        raise OptionError(f"--resume takes the settings in run.json: leave {', '.join(given)} out")
    out = out or newest_unfinished()
    return out, read_run(out)


def _recipe(preset: str | None, initial: Path | None, qat: bool) -> Preset:
    """The preset of that name, or else the gentle recipe for the network in `initial`; with qat its own recipe."""
    if preset is not None and not (qat and initial):
        return get_preset(preset)
    assert initial is not None  # `train` takes one or the other
    metadata = read_metadata(initial)
    gentle = quantisation_aware if qat else fine_tuning
    return gentle(get_preset(preset) if preset else _own_preset(initial, metadata.name), metadata.input)


def _own_preset(model: Path, name: str) -> Preset:
    """The preset that trained a model: of its run, when it is in its run folder still, else the one of that name."""
    if not (model.parent / RUN_FILE).exists():
        return get_preset(name)
    recorded = TrainConfig.from_json(read_run(model.parent)["config"]).preset
    return recorded if recorded.name == name else get_preset(name)


def _override(preset: Preset, epochs: int | None, batch_size: int | None, settings: Sequence[str]) -> Preset:
    sized = dataclasses.replace(preset, epochs=epochs or preset.epochs, batch_size=batch_size or preset.batch_size)
    return adjusted(sized, settings)


class _EpochBar:
    """A progress bar that opens with the first step and goes before a line is printed."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._stack = contextlib.ExitStack()
        self._move: console.Progress | None = None

    def move(self, step: int, steps: int) -> None:
        if self._move is None:
            self._move = self._stack.enter_context(console.progress(self._description))
        self._move(step, steps)

    def close(self) -> None:
        self._move = None
        self._stack.close()


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, so that a service manager's stop keeps the finished epochs too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread, as when an embedding program calls this
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
