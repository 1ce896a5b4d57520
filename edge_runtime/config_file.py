"""`run --config`: a TOML file whose keys are the options of `run`; the command line wins over it.

source = 0
web = "0.0.0.0:8080"
web-token = "…"
classes = ["angry", "happy", "neutral"]
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from . import console
from .errors import OptionError
from .labels import nearest

NOT_IN_FILES = frozenset({"config_file", "help"})
SECRETS = frozenset({"web_token"})

Value = str | int | float | bool


def use_config(context: typer.Context, path: Path | None) -> Path | None:
    """Callback of `--config`: the file's values become the defaults of the other options. Raises OptionError."""
    if path is not None:
        values = read_config(path, context.command)
        context.default_map = {**(context.default_map or {}), **values}
        if _holds_secret(values) and path.stat().st_mode & 0o077:
            console.note(f"{path} holds a token or a password, and other users can read it: chmod 600 {path}")
    return path


def _holds_secret(values: Mapping[str, Value]) -> bool:
    from .cameras.stream import without_password

    source = str(values.get("source", ""))
    return bool(SECRETS & values.keys()) or without_password(source) != source


def read_config(path: Path, command: Any) -> dict[str, Value]:
    """Parameter name → value of a configuration file for a command.

    Raises OptionError when the file is missing or no TOML, and for a key that is no option of the command.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read --config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"--config {path} is not TOML: {error}") from error
    known = {option_key(parameter): parameter for parameter in command.params if parameter.name not in NOT_IN_FILES}
    values = {}
    for key, value in document.items():
        parameter = known.get(key.replace("_", "-"))
        if parameter is None:
            raise OptionError(f"--config {path} has an unknown key {key!r}: {nearest(key, tuple(known))}")
        values[parameter.name] = _checked(path, key, value, bool(getattr(parameter, "is_flag", False)))
    return values


def option_key(parameter: Any) -> str:
    """The key of an option in the file: its long name without the dashes, such as `max-frames`."""
    return str(max(parameter.opts, key=len)).lstrip("-")


def write_toml(values: Mapping[str, Value]) -> str:
    """The values as TOML.

    >>> print(write_toml({"source": "0", "threads": 2, "no-frames": True}), end="")
    source = "0"
    threads = 2
    no-frames = true
    """
    return "".join(f"{key} = {_literal(value)}\n" for key, value in values.items())


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # a JSON string is a TOML string, but for this one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _checked(path: Path, key: str, value: Any, is_flag: bool) -> Value:
    if is_flag != isinstance(value, bool):
        wanted = "true or false" if is_flag else "a number or a text"
        raise OptionError(f"--config {path}: {key} takes {wanted}, got {value!r}")
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if not isinstance(value, (str, int, float)):
        kind = "a section" if isinstance(value, dict) else repr(value)
        raise OptionError(f"--config {path}: {key} takes a number or a text, got {kind}")
    return value
