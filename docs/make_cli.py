"""Write docs/cli.md from the commands themselves: `python docs/make_cli.py`. A test keeps the page up to date."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from edge_emotion.edge_runtime.cli import app

HEADER = """# Command line

Made from the commands themselves by `python docs/make_cli.py`; `edge-emotion COMMAND --help` says the same.

Every command takes `--debug` (tracebacks). Progress goes to stderr, and only to a terminal; with `--json` stdout holds
one JSON document and nothing else. Exit codes: 0 done, 1 an error in one clear line (a file, model or device is missing
or refuses), 2 wrong usage or a value that an option does not know, 3 a contract or gate not met, 130 interrupted (what
was done is kept).
"""


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    parts = [HEADER]
    for name, command in _commands(root, "edge-emotion"):
        parts.append(f"## {name}\n\n{inspect.cleandoc(command.help or '')}\n")
        rows = [row for row in map(_row, command.params) if row]
        if rows:
            parts.append("| | | default |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _row(parameter: Any) -> str | None:
    if parameter.name == "help":
        return None
    argument = parameter.param_type_name == "argument"
    options = ", ".join([*parameter.opts, *parameter.secondary_opts])  # the second ones are --no-…
    name = f"`{(parameter.metavar or parameter.name).upper()}`" if argument else f"`{options}`"
    nothing = parameter.default is None or parameter.default is False or parameter.default == ()
    default = "" if nothing or callable(parameter.default) else f"`{parameter.default}`"
    if parameter.required:
        default = "required"
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    return f"| {name} | {text} | {default} |"


if __name__ == "__main__":
    target = Path(__file__).with_name("cli.md")
    target.write_text(page())
    print(target)
