"""`edge-emotion service`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from . import console, options
from .board import LinuxSystem
from .config_file import NOT_IN_FILES, SECRETS, Value, option_key, write_toml
from .service import Service, system_service, user_service

app = typer.Typer(
    help="Start `run` at boot, as a systemd service.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
)

Name = Annotated[str, typer.Option("--name", help="Name of the service: one for each camera.")]
System = Annotated[
    bool, typer.Option("--system", help="A service of the machine (needs sudo) instead of one of this user.")
]


@app.command(
    options_metavar="[OPTIONS] [OPTIONS OF RUN]",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def install(
    context: typer.Context,
    name: Name = "edge-emotion",
    system: System = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a service that runs `edge-emotion run` with the options given here, and say how to start it.

    All options of `run` may follow, such as `--source`, `--model`, `--web`, `--mqtt`, `--jsonl`: `edge-emotion run
    --help` lists them. Without any it is `--source 0 --wait`.

    The options go into a TOML file that only you can read; edit it and restart the service to change them. A file that
    is there is kept: without options as it is, else beside the new one with the suffix `.bak`.

    Example: `edge-emotion service install --source 0 --wait --web 0.0.0.0:8080 --web-token "$(openssl rand -hex 12)"`
    """
    values = run_options(context.args, system)
    service = _service(name, system)
    kept = not values and service.config_path.exists()
    if not values and not kept:
        values = {"source": "0", "wait": True}
        console.note("no options were given, so it is --source 0 --wait: edge-emotion run --help lists what may follow")
    shown = _without_secrets(values)
    replaced = not dry_run and service.install(values)
    _tell_what_stays_behind(values)
    if as_json:
        console.emit_json(
            {
                "schema_version": 1,
                "written": not dry_run,
                "unit_path": str(service.unit_path),
                "unit": service.unit,
                "config_path": str(service.config_path),
                "kept": kept,
                "backup_path": str(service.backup_path) if replaced else None,
                "options": None if kept else shown,
                "next": service.next_steps,
            }
        )
        return
    if dry_run:
        console.emit(f"# {service.unit_path}\n{service.unit}")
        console.emit(f"# {service.config_path}{' is kept as it is' if kept else ''}\n{write_toml(shown)}")
        return
    if replaced:
        console.emit(f"kept the former options in {service.backup_path}")
    verb = "kept" if kept else "wrote"
    console.emit(f"wrote {service.unit_path}\n{verb} {service.config_path} (the options)\n\nNow type:\n")
    for step in service.next_steps:
        console.emit(f"  {step}")
    if not system:
        console.emit(
            "\nenable-linger starts your services at boot; without it they start when you log in and end when you "
            "log out."
        )


@app.command()
def remove(name: Name = "edge-emotion", system: System = False, as_json: options.Json = False) -> None:
    """End the service, and delete its unit; its options stay.

    Example: `edge-emotion service remove`
    """
    service = _service(name, system)
    removed = service.remove(LinuxSystem())
    if as_json:
        console.emit_json({"schema_version": 1, "removed": [str(path) for path in removed]})
    elif removed:
        console.emit(f"removed {removed[0]}; the options stay in {service.config_path}")
    else:
        console.emit(f"there is no {service.unit_path}")


def run_options(arguments: list[str], system: bool = False) -> dict[str, Value]:
    """Options of `run` as `--config` takes them; what was not said is left out. What `run` refuses ends as there."""
    from .cli import StageGroup

    command: Any = StageGroup(name="edge-emotion").get_command(None, "run")
    if not arguments:
        return {}
    context = command.make_context("edge-emotion service install", list(arguments))
    _check(context.params, system)
    values: dict[str, Value] = {}
    for parameter in command.params:
        said = context.get_parameter_source(parameter.name)
        value = context.params.get(parameter.name)
        if parameter.name not in NOT_IN_FILES and value is not None and said is not None and said.name != "DEFAULT":
            values[option_key(parameter)] = str(value) if isinstance(value, Path) else value
    return values


def _check(asked: Mapping[str, Any], system: bool) -> None:
    """Raise what `run` would before it opens the camera: systemd does not start a service again that ends so.

    system: it runs as another user, who may have fetched a detector that this one has not.
    """
    from .cameras.choice import check_source
    from .edgetpu import check_device
    from .errors import ModelError, OptionError
    from .faces import open_detector
    from .interpreter import load_backend
    from .outputs.mqtt_address import parse_mqtt
    from .outputs.video import check_suffix
    from .outputs.web import check_web
    from .run_config import RunConfig

    config = RunConfig.from_options(**{key: asked[key] for key in asked if key not in (*NOT_IN_FILES, "quiet")})
    _ = config.labels_in_order
    load_backend(config.backend)
    if config.device != "cpu":
        check_device(config.device)
    check_source(config.source)
    if config.show:
        raise OptionError("--show is not for a service, which has no screen: leave it out, --web shows the picture")
    if config.detector != "auto":
        try:
            open_detector(config.detector, backend=config.backend, threads=config.threads).close()
        except ModelError:
            if not system:
                raise
    if config.video is not None:
        check_suffix(Path(config.video))
    if config.web is not None:
        check_web(config.web, config.web_token)
    if config.mqtt is not None:
        parse_mqtt(config.mqtt, config.mqtt_ca, config.mqtt_password_file, environment={})


def _without_secrets(values: Mapping[str, Value]) -> dict[str, Value]:
    from .cameras.stream import without_password

    source = {"source": without_password(str(values["source"]))} if "source" in values else {}
    return {**values, **source, **{key: "…" for key in values if key.replace("-", "_") in SECRETS}}


def _tell_what_stays_behind(values: Mapping[str, Value]) -> None:
    from .outputs.mqtt_address import PASSWORD_FILE_VARIABLE, PASSWORD_VARIABLE, USER_VARIABLE

    here = [name for name in (USER_VARIABLE, PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE) if name in os.environ]
    if "mqtt" in values and here:
        console.note(
            f"{', '.join(here)} of this shell will not be there for the service: write the user into the address "
            "(mqtt://USER@…) and the password into a file named by --mqtt-password-file"
        )


def _service(name: str, system: bool) -> Service:
    name = name.removesuffix(".service")
    if system:
        return system_service(name, os.environ.get("SUDO_USER") or getpass.getuser())
    config_home = os.environ.get("XDG_CONFIG_HOME")
    return user_service(name, Path.home(), Path(config_home) if config_home else None)
