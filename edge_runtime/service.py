"""A systemd service that runs `edge-emotion run` from boot on, with its options in a file that can be edited."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .atomic import write_atomically
from .board import System
from .config_file import Value, write_toml
from .console import note
from .errors import OptionError, OutputError
from .machine import python

RESTART_AFTER_S = 5
STOP_WITHIN_S = 5  # `run` ends within 2
SYSTEMCTL_S = 30.0  # it waits until the program has ended


@dataclass(frozen=True)
class Service:
    """Where the unit and the options go, and as whom it runs. user: only for a system service."""

    name: str
    unit_path: Path
    config_path: Path
    working_directory: Path
    python: str
    user: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise OptionError(f"a service name is letters, digits, -, _ and ., got {self.name!r}")

    @property
    def unit(self) -> str:
        """The text of the unit."""
        module = ("-m", "edge_emotion.edge_runtime.cli")
        program, *rest = (*python(self.python), *module, "run", "--config", str(self.config_path))
        command = " ".join([_program(program), *map(quote, rest)])
        network = "Wants=network-online.target\nAfter=network-online.target\n" if self.user else ""
        run_as = f"User={self.user}\nProtectSystem=full\nPrivateTmp=yes\n" if self.user else ""
        return f"""\
# Written by `edge-emotion service install`; the options are in {self.config_path}
[Unit]
Description=edge-emotion ({self.name}): apparent facial expressions on this device
{network}StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={_folder(self.working_directory)}
Environment=PYTHONUNBUFFERED=1
{run_as}NoNewPrivileges=yes
UMask=0077
# A camera or broker that comes back is found again; a wrong option (exit code 2) does not mend itself.
Restart=on-failure
RestartSec={RESTART_AFTER_S}
RestartPreventExitStatus=2
TimeoutStopSec={STOP_WITHIN_S}

[Install]
WantedBy={"multi-user.target" if self.user else "default.target"}
"""

    @property
    def next_steps(self) -> list[str]:
        """What to type to start it, and to see what it does."""
        steps = [
            f"{self._systemctl} daemon-reload",
            f"{self._systemctl} enable {self.name}",
            f"{self._systemctl} restart {self.name}",  # `enable --now` leaves one that runs with its former options
        ]
        if not self.user:
            steps.append("sudo loginctl enable-linger $USER")
        # Not `--user -u`: that looks only into journals of users, which a journal in memory does not have.
        return [*steps, f"journalctl {'-u' if self.user else '--user-unit'} {self.name} -f"]

    @property
    def _systemctl(self) -> str:
        return "sudo systemctl" if self.user else "systemctl --user"

    @property
    def _needs_sudo(self) -> str:
        return " (a --system service needs sudo)" if self.user else ""

    @property
    def backup_path(self) -> Path:
        """Where other options than the new ones are kept."""
        return self.config_path.with_name(f"{self.config_path.name}.bak")

    def install(self, options: Mapping[str, Value]) -> bool:
        """Write both files, the options readable by nobody else: they may hold a token. Raises OutputError.

        Without options the file that is there stays as it is. Returns whether other options were there, which then
        are in `backup_path`. Raises OptionError for what a unit cannot hold, before anything is written.
        """
        try:
            unit, content = self.unit.encode(), write_toml(options).encode()
        except UnicodeEncodeError as error:
            found = error.object[error.start]
            raise OptionError(f"a service's paths and options are UTF-8, got {found!r}: rename what has it") from error
        replaced = False
        try:
            if options or not self.config_path.exists():
                former = self.config_path.read_bytes() if self.config_path.exists() else content
                replaced = former != content
                if replaced:
                    self._write_private(self.backup_path, former)
                self._write_private(self.config_path, content)
            write_atomically(self.unit_path, unit)
            self.unit_path.chmod(0o644)
        except LookupError as error:
            raise OutputError(f"cannot write the service: {error}") from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""  # a full disk has no name
            raise OutputError(f"cannot write the service: {where}{error.strerror}{self._needs_sudo}") from error
        return replaced

    def _write_private(self, path: Path, content: bytes) -> None:
        before = os.umask(0o077)
        try:
            write_atomically(path, content)
        finally:
            os.umask(before)
        if self.user:
            import shutil

            path.parent.chmod(0o755)
            shutil.chown(path, self.user)

    def remove(self, system: System) -> list[Path]:
        """End the program, take it from the start of the machine, and delete the unit; the options stay.

        Returns what was deleted. What systemd says against it is noted, with the command for later: there may be none.
        """
        if not self.unit_path.exists():
            return []
        systemctl = ("systemctl", "--no-ask-password", "--system" if self.user else "--user")
        disabled = system.run(*systemctl, "disable", "--now", self.name, timeout_s=SYSTEMCTL_S)
        try:
            self.unit_path.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove {self.unit_path}: {error.strerror}{self._needs_sudo}") from error
        system.run(*systemctl, "daemon-reload", timeout_s=SYSTEMCTL_S)
        if disabled.code:
            note(
                f"{self.name} may still run ({disabled.last_line}): {self._systemctl} disable --now {self.name} ends it"
            )
        return [self.unit_path]


def user_service(name: str, home: Path, config_home: Path | None = None) -> Service:
    """A service of one user; with linger it runs from boot on."""
    base = config_home or home / ".config"
    return Service(
        name,
        base / "systemd" / "user" / f"{name}.service",
        base / "edge-emotion" / f"{name}.toml",
        Path.cwd(),
        sys.executable,
    )


def system_service(name: str, user: str, etc: Path = Path("/etc")) -> Service:
    """A service of the machine, running as a user. Raises OptionError for a user systemd would not take."""
    if not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", user):
        raise OptionError(f"the service cannot run as {user!r}: that is no user name")
    unit = etc / "systemd" / "system" / f"{name}.service"
    return Service(name, unit, etc / "edge-emotion" / f"{name}.toml", Path.cwd(), sys.executable, user)


def _program(path: str) -> str:
    """The first word of `ExecStart=`, in which systemd looks for no variables and allows no quotes and backslashes."""
    if re.search(r"[\"'\\]", path):
        raise OptionError(f"a service starts no program with a quote or backslash in its path, got {path}")
    return quote(path).replace("$$", "$")


def _folder(path: Path) -> str:
    """The value of `WorkingDirectory=`, which knows no quotes."""
    text = str(path)
    if re.search(r"[\x00-\x1f\x7f]|[ \\]$", text):
        raise OptionError(
            f"a service cannot start in {text!r}: no folder with control characters, or a space or \\ at its end"
        )
    return text.replace("%", "%%")


def quote(word: str) -> str:
    """One word of `ExecStart=` (systemd.service(5), systemd.syntax(7)): quoted, with `%`, `$`, `"` and `\\` escaped.

    >>> print(quote("/home/pi/my 100% project"))
    "/home/pi/my 100%% project"
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in word):
        raise OptionError(f"a service cannot hold control characters, got {word!r}")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[^A-Za-z0-9_./:=@%$+-]", escaped) or not escaped else escaped
