"""The root command. Stages are mounted by name and imported on use, so that a device never loads TensorFlow."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from . import console
from .errors import INTERRUPTED, EdgeEmotionError, OptionError

COMMANDS: dict[str, str] = {
    "demo": "edge_emotion.train.demo:demo",
    "data": "edge_emotion.train.data_cli:app",
    "train": "edge_emotion.train.cli:train",
    "evaluate": "edge_emotion.edge_runtime.evaluate_cli:evaluate",
    "convert": "edge_emotion.convert.cli:convert",
    "inspect": "edge_emotion.convert.inspect_cli:inspect",
    "predict": "edge_emotion.edge_runtime.predict_cli:predict",
    "run": "edge_emotion.edge_runtime.run_cli:run",
    "models": "edge_emotion.edge_runtime.models_cli:app",
    "bench": "edge_emotion.benchmarks.cli:bench",
    "service": "edge_emotion.edge_runtime.service_cli:app",
    "doctor": "edge_emotion.edge_runtime.doctor_cli:doctor",
}
"""Command → `module:attribute`; the attribute is a function, or a Typer app with commands of its own."""


class _SaysInterrupted:
    """Of a command or group: one that does not end in order by itself on Ctrl-C is said to be interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)  # type: ignore[misc]
        except KeyboardInterrupt:
            console.note("edge-emotion: interrupted")
            raise typer.Exit(INTERRUPTED) from None


class StageCommand(_SaysInterrupted, TyperCommand):
    """The one command of a module that is run with `python -m`."""


class StageGroup(_SaysInterrupted, TyperGroup):
    """A group whose commands live in modules that are imported on first use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].split(":")
        try:
            target = getattr(import_module(module), attribute)
        except ImportError as error:  # a broken OpenCV keeps neither --help nor the other commands from working
            target = _unavailable(cmd_name, error)
        if not isinstance(target, typer.Typer):
            wrapper = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            wrapper.command(cmd_name)(target)
            target = wrapper
        command = typer.main.get_command(target)
        command.name = cmd_name
        return command


def _unavailable(name: str, error: ImportError) -> typer.Typer:
    """A command that is listed and, when called, raises why it cannot be loaded."""
    unavailable = typer.Typer(add_completion=False)

    @unavailable.command(name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def fail() -> None:
        """Cannot be loaded here: `edge-emotion doctor` says what mends it."""
        raise error

    return unavailable


app = typer.Typer(
    cls=StageGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("edge-emotion"))
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and debug messages (anywhere on the line).")
    ] = False,
) -> None:
    """Apparent facial expressions on the device: train, convert, run and bench.

    Start with `edge-emotion demo`. Every command has `--help` with an example.
    """


def main(commands: typer.Typer = app, name: str = "edge-emotion") -> None:
    """Entry point: one clear line for an expected error, its exit code, and no traceback unless `--debug`."""
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as on stderr: what a locale cannot show ends no command
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    logging.getLogger("edge_emotion").setLevel(logging.DEBUG if debug else logging.WARNING)
    try:
        _refuse_empty(arguments)
        commands(args=[a for a in arguments if a != "--debug"], prog_name=name)
    except EdgeEmotionError as error:
        _fail(str(error), error.exit_code, debug)
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        sys.exit(1)
    except ImportError as error:
        _fail(f"{error}: edge-emotion doctor says what mends it (--debug shows where)", 1, debug)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _fail(f"{error.strerror or error}{where}", 1, debug)
    except Exception as error:
        _fail(f"internal error, please report it: {type(error).__name__}: {error} (--debug shows where)", 1, debug)


def _open_closed_streams() -> None:
    """What a shell closed (`2>&-`) leads nowhere, in place of into the file that is opened next."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise OptionError for an empty argument: as a path it would be the current folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument or re.fullmatch(r"--[a-z-]+=", argument):
            of = argument.rstrip("=") or (before if before.startswith("-") else "an argument")
            raise OptionError(f"{of} is empty: is a variable of the shell not set?")


def _fail(message: str, exit_code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    console.note(f"edge-emotion: {' '.join(message.split())}")
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
