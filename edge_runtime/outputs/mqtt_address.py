"""What `--mqtt` names: a broker, and how to get in. Passwords come from the environment or a file, never the URL."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import OptionError

PORTS = {"mqtt": 1883, "mqtts": 8883}
USER_VARIABLE = "EDGE_EMOTION_MQTT_USER"
PASSWORD_VARIABLE = "EDGE_EMOTION_MQTT_PASSWORD"
PASSWORD_FILE_VARIABLE = "EDGE_EMOTION_MQTT_PASSWORD_FILE"
DEFAULT_TOPIC = "edge-emotion"


@dataclass(frozen=True)
class MqttAddress:
    """A broker. topic: what all topics start with; node: its name without slashes or the
    host's name, of letters, digits, `-` and `_`."""

    host: str
    port: int
    tls: bool
    topic: str
    node: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_mqtt(
    url: str,
    ca_file: Path | None = None,
    password_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    host_name: str | None = None,
) -> MqttAddress:
    """`mqtt://[USER@]HOST[:PORT][/TOPIC]`, or `mqtts://` for TLS; user and password from the environment or a file.

    Raises OptionError for another scheme, a password in the URL, a topic with wildcards, or a file that is missing.
    """
    environment = os.environ if environment is None else environment
    try:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        port = parts.port or PORTS.get(parts.scheme, 0)
        _ = (parts.hostname or "").encode("idna")  # as every look-up does; its UnicodeError is a ValueError
    except ValueError as error:
        raise OptionError(f"--mqtt has no valid host and port: {_without_password(url)!r}") from error
    if parts.password is not None:
        raise OptionError(
            f"--mqtt may not hold a password, other users of the machine could read it: put it in {PASSWORD_VARIABLE} "
            "or in a file named by --mqtt-password-file"
        )
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise OptionError(f"--mqtt takes mqtt://HOST[:PORT][/TOPIC], or mqtts:// for TLS; got {url!r}")
    own_topic = unquote(parts.path).strip("/")
    # Two cameras of one host differ by their topics: as clients, and as devices of Home Assistant.
    node = re.sub(r"[^A-Za-z0-9_-]", "-", own_topic or host_name or socket.gethostname()) or "device"
    topic = own_topic or f"{DEFAULT_TOPIC}/{node}"
    if re.search(r"[+#\0]", topic) or topic.startswith("$"):
        raise OptionError(f"--mqtt topic {topic!r} may not hold + or #, nor start with $")
    if ca_file is not None and parts.scheme != "mqtts":
        raise OptionError("--mqtt-ca is for TLS: write the address as mqtts://…")
    if ca_file is not None and not ca_file.is_file():
        raise OptionError(f"--mqtt-ca {ca_file} does not exist")
    file = password_file or (
        Path(environment[PASSWORD_FILE_VARIABLE]) if PASSWORD_FILE_VARIABLE in environment else None
    )
    password = _read_password(file) if file is not None else environment.get(PASSWORD_VARIABLE)
    user = unquote(parts.username) if parts.username else environment.get(USER_VARIABLE)
    if password is not None and not user:
        raise OptionError(f"an MQTT password without a user: write mqtt://USER@… or set {USER_VARIABLE}")
    return MqttAddress(parts.hostname, port, parts.scheme == "mqtts", topic, node, user, password, ca_file)


def _read_password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"cannot read the MQTT password from {file}: {error}") from error


def _without_password(url: str) -> str:
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:…@", url)
