"""`edge-emotion convert`, the command."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ..edge_runtime import console, options
from ..edge_runtime.parsing import describe, parse_logit_bias
from .recipes import CALIBRATION_IMAGES


def convert(
    model: Annotated[
        Path | None, typer.Argument(help="A .keras file or SavedModel folder; by default the newest run under runs/.")
    ] = None,
    data: options.OptionalData = None,
    float32: Annotated[bool, typer.Option("--float32", help="Make the float32 file.")] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Make the float16 file: half the size.")] = False,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Make the dynamic-range file: int8 weights.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Make the int8 file: integers throughout.")] = False,
    edgetpu: Annotated[
        bool, typer.Option("--edgetpu", help="Make the int8 file for a Coral too, with edgetpu_compiler where it is.")
    ] = False,
    io: Annotated[
        str | None, typer.Option("--io", metavar="int8|float32", help="Input and output of int8 files (int8).")
    ] = None,
    samples: Annotated[
        int, typer.Option("--calibration-samples", min=1, help="Calibration images, balanced over the classes.")
    ] = CALIBRATION_IMAGES,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="DIR", help="Calibrate on the images in this folder; no labels needed."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop", metavar="PP", help="Accuracy a file may lose, in percentage points (0.5 from n = 1000 on)."
        ),
    ] = None,
    max_class_drop: Annotated[
        float | None, typer.Option("--max-class-drop", metavar="PP", help="Recall that any class may lose.")
    ] = None,
    keep_float: Annotated[
        str | None,
        typer.Option("--keep-float", metavar="A,B,…", help="Layers that stay float in int8 files, by their names."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Where int8 exceeds the limit, keep the most harmful layers in float.")
    ] = False,
    logit_bias: Annotated[
        str | None,
        typer.Option(
            "--logit-bias",
            metavar="CLASS=B,…",
            help="Add to a class's logit: it is found more often, and more falsely.",
        ),
    ] = None,
    labels: options.Labels = None,
    input_spec: options.Input = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the files go; beside the model by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=options.HIGHEST_SEED, help="Seed of the calibration sample.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Convert a model to TFLite, and prove what it cost. Without a precision: all four.

    Example: `edge-emotion convert --int8` takes the newest run and its data
    """
    from ..edge_runtime import metadata as model_metadata
    from ..edge_runtime.atomic import check_writable
    from ..edge_runtime.dataset import open_dataset
    from ..edge_runtime.errors import ContractError, ModelError, OptionError
    from ..edge_runtime.evaluate import classes_in_common, left_out, note_left_out
    from ..edge_runtime.zoo import bundled_models
    from . import recipes
    from .calibration import Calibration
    from .contract import MAX_DROP_PP, Contract
    from .converter import convert_model
    from .printing import print_conversion
    from .reports import write_reports
    from .run_folder import newest_model, recorded_dataset
    from .source import metadata_of

    wanted = (("float32", float32), ("float16", float16), ("dynamic", dynamic), ("int8", int8))
    chosen = recipes.choose([name for name, asked in wanted if asked], io, edgetpu)  # type: ignore[arg-type]  # checked there
    kept = tuple(name.strip() for name in keep_float.split(",")) if keep_float else ()
    if kept and (edgetpu or not any(recipe.precision == "int8" for recipe in chosen)):
        raise OptionError("--keep-float is for int8 files that run on a CPU: it needs --int8 and excludes --edgetpu")
    contract = Contract(
        MAX_DROP_PP if max_drop is None else max_drop,
        max_class_drop,
        explicit=max_drop is not None,
    )
    console.quiet_opencv()
    with console.foreign_output_to_stderr():
        if model is None:
            model = newest_model()
            console.note(f"model: {model} (the newest run)")
        if not model.exists():
            copy = f'; it is bundled: cp "$(edge-emotion models path {model})" . and convert the copy'
            raise ModelError(f"model {model} does not exist here{copy if str(model) in bundled_models() else ''}")
        if model.suffix == ".tflite":
            _compile_only(model, edgetpu, out, as_json)
            return
        known = model_metadata.read(model) if model.is_file() else None
        declared = describe(model, known, labels, input_spec)
        metadata = metadata_of(model, declared or known)
        if logit_bias is not None:
            declared = dataclasses.replace(metadata, logit_bias=parse_logit_bias(logit_bias, metadata.labels))
        folder = out or model.parent
        check_writable(folder)
        validation = representative = None
        classes: tuple[str, ...] = ()
        dataset = open_dataset(data) if data is not None else recorded_dataset(model)
        if dataset is not None:
            if data is None:
                console.note(f"data: {dataset.path} (recorded in {model.parent / 'run.json'})")
            classes = classes_in_common(dataset, [metadata])
            if missing := set(metadata.labels) - set(classes):
                console.note(f"{dataset.path} has no images of {', '.join(sorted(missing))}: they go unmeasured")
            with console.progress("decoding validation") as bar:
                validation = dataset.load("validation", metadata.input, classes, bar)
            note_left_out(left_out(dataset, validation))
        if calibration is not None:
            representative = Calibration.from_folder(calibration, metadata.input, samples, seed, validation)
        elif dataset is not None and any(recipe.needs_calibration for recipe in chosen):
            with console.progress("decoding training") as bar:
                train = dataset.load("train", metadata.input, classes, bar)
            representative = Calibration.from_split(train, samples, seed, validation)
        result = convert_model(
            model,
            folder,
            recipes=chosen,
            calibration=representative,
            validation=validation,
            contract=contract,
            declared=declared,
            keep_float=kept,
            fix=fix,
            edgetpu=edgetpu,
        )
        reports = folder / f"{result.metadata.name}-conversion"
        write_reports(result, reports)
        if as_json:
            console.emit_json({**result.to_json(), "reports": str(reports)})
        else:
            print_conversion(result)
            console.emit(f"\nreports: {reports}/")
    if result.unmet:
        failed = "; ".join(f"{o.recipe.name}: {', '.join(o.breaches)}" for o in result.unmet)
        mendable = not fix and any(output.layers for output in result.unmet)
        advice = "; --fix keeps the layers that hurt most in float" if mendable else ""
        raise ContractError(f"the contract is not met ({failed}): written with the suffix .rejected{advice}")
    for output in result.outputs:
        if output.coral and output.coral.compilation and output.coral.compilation.failure:
            raise ModelError(f"edgetpu_compiler failed on {output.path}: {output.coral.compilation.failure}")


def _compile_only(model: Path, edgetpu: bool, out: Path | None, as_json: bool) -> None:
    """`convert X.tflite --edgetpu`: a file converted earlier, compiled where the compiler is. Needs no TensorFlow."""
    from ..edge_runtime.errors import ModelError, OptionError
    from .coral import compile_file
    from .printing import print_coral

    if not edgetpu:
        raise OptionError(f"{model} is converted already: convert takes a .tflite only with --edgetpu")
    if out is not None:
        raise OptionError(f"--out is of no use here: what is compiled of {model} goes beside it")
    coral = compile_file(model)
    if as_json:
        console.emit_json({"schema_version": 1, "source": str(model), "edgetpu": coral.to_json()})
    else:
        print_coral(coral)
    if coral.compilation and coral.compilation.failure:
        raise ModelError(f"edgetpu_compiler failed on {model}: {coral.compilation.failure}")
