"""`run --mqtt`: what is seen, once a second, to an MQTT broker."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from .. import console
from ..board import BoardState, read_this_board
from ..errors import OutputError, RuntimeMissingError
from ..preprocess import Image
from ..results import DECIMALS, FrameResult, rounded, utc_now
from .mqtt_address import MqttAddress
from .mqtt_discovery import NO_FACE, discovery
from .output import Output
from .summary import summarise

EVERY_S = 1.0
BOARD_EVERY_S = 30.0
TRUE_FOR_S = 3.0  # a state that is older says nothing of now, and its readers look at no clock
CONNECT_WITHIN_S = 5.0
RECONNECT_S = (1, 30)  # shortest and longest pause
FLUSH_WITHIN_S = 0.6
HELD_S = 5.0  # a connection that is lost sooner never came to anything
LOST_OFTEN = 3  # so many of these in a row have a cause that somebody should look for
KEEP_ALIVE_S = 30  # the broker tells "offline" after 1.5 times this, when the device just vanishes


class MqttOutput(Output):
    """Publishes `TOPIC/status` (online, offline: the last will) and discovery, both retained, and `TOPIC/state`.

    A state is not retained: each is old after a second, and no face outlives the run on the broker. A broker that is
    away is waited for, and gets the newest state alone, unless that too is older than TRUE_FOR_S. A broker that refuses
    at the start (user, password, certificate) raises OutputError, because waiting would not mend it.
    """

    needs_image = False

    def __init__(
        self,
        address: MqttAddress,
        labels: Sequence[str],
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
        board: Callable[[], BoardState] = read_this_board,
    ) -> None:
        if not find_spec("paho"):
            raise RuntimeMissingError.of_extra("mqtt", "--mqtt needs paho-mqtt")
        self.address = address
        self._state_topic, self._status_topic = f"{address.topic}/state", f"{address.topic}/status"
        self._every_s, self._clock = every_s, clock
        self._read_board, self._board, self._board_due = board, board(), clock() + BOARD_EVERY_S
        self._announcement = discovery(address.node, address.topic, labels, self._board)
        self._due, self._frames, self._since = clock(), 0, clock()
        self._newest: tuple[float, str] | None = None  # when it was seen, and what waits to be sent
        self._under_way = False  # a state that has not left this machine
        self._states = self._sent = 0
        self._changed = threading.Condition()
        self._unacknowledged: dict[int, str] = {}  # number → topic of what each connection begins with
        self._connected = False
        self._connected_at = clock()
        self._told_gone = False
        self._lost_soon = 0  # connections in a row
        self._started = False
        self._closing = False
        self._refusal: str | None = None
        context = _tls_context(address) if address.tls else None
        reachable = _probe(address, context)
        self._client = self._make_client(context)
        self._connect(reachable)
        self._started = True

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Once a second, send what this frame shows; while that cannot be, it takes the place of what waits."""
        now = self._clock()
        self._frames += 1
        if now < self._due:
            return
        rate = self._frames / (now - self._since) if now > self._since else 0.0
        self._due, self._frames, self._since = now + self._every_s, 0, now
        self._states += 1
        if now >= self._board_due:
            self._board_due = now + BOARD_EVERY_S
            threading.Thread(target=self._renew_board, name="board", daemon=True).start()
        with self._changed:
            self._newest = now, self._state(result, rate)
        self._send()

    def close(self) -> None:
        """Send what waits if the broker is there, say "offline", and leave; at most FLUSH_WITHIN_S."""
        if self._closing:
            return
        deadline = time.monotonic() + FLUSH_WITHIN_S
        with self._changed:
            self._closing, self._under_way = True, False  # no time to wait for the state before
        self._send()
        if self._connected:
            last = self._client.publish(self._status_topic, "offline", qos=1, retain=True)
            with suppress(RuntimeError):  # gone in this moment
                last.wait_for_publish(FLUSH_WITHIN_S / 2)
        self._client.disconnect()
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)  # joins a thread that may be connecting
        stopping.start()
        stopping.join(max(0.05, deadline - time.monotonic()))

    def outcome(self) -> str:
        """How many states left this machine: that they arrived, QoS 0 does not tell."""
        return f"{self._sent} of {self._states} states sent to {self.address}"

    def _renew_board(self) -> None:
        """On some boards this starts a process, for which no frame waits."""
        self._board = self._read_board()

    def _state(self, result: FrameResult, rate: float) -> str:
        summary = summarise(result.faces)
        state = {
            "time": utc_now(),
            "faces": summary.faces,
            "dominant": summary.dominant or NO_FACE,
            "confidence": round(summary.confidence, DECIMALS),
            "probabilities": rounded(summary.probabilities or {}),
            "frames_per_s": round(rate, 1),
            "board": self._board.to_json(),
        }
        return json.dumps(state, separators=(",", ":"), allow_nan=False)

    def _send(self) -> None:
        """Send the newest state when the one before has left: on a slow line none pile up."""
        with self._changed:
            if self._newest is None or not self._connected or self._under_way:
                return
            (seen_at, state), self._newest = self._newest, None
            if self._clock() - seen_at > TRUE_FOR_S:
                return
            self._under_way = True
        # paho's thread does the sending. Never inside the lock: paho calls back with its own lock held. QoS 0: a state
        # that is lost is not repeated, the next one is truer.
        self._client.publish(self._state_topic, state, qos=0)

    # ---- the connection, and what paho's thread calls

    def _make_client(self, context: ssl.SSLContext | None) -> Any:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(CallbackAPIVersion.VERSION2, client_id=f"edge-emotion-{self.address.node}")
        client.will_set(self._status_topic, "offline", qos=1, retain=True)
        client.reconnect_delay_set(*RECONNECT_S)
        client.connect_timeout = CONNECT_WITHIN_S
        if self.address.user is not None:
            client.username_pw_set(self.address.user, self.address.password)
        if context is not None:
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _connect(self, reachable: bool) -> None:
        """Start paho's thread, which connects and reconnects; wait for the first answer of a broker that is there."""
        self._client.connect_async(self.address.host, self.address.port, KEEP_ALIVE_S)
        self._client.loop_start()
        if not reachable:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self._refusal, CONNECT_WITHIN_S)
        if self._refusal:
            self._client.disconnect()
            self._client.loop_stop()
            raise OutputError(
                f"{self.address} refuses ({self._refusal}): check the user, and the password in "
                "EDGE_EMOTION_MQTT_PASSWORD or --mqtt-password-file"
            )
        if not self._connected:
            console.note(f"{self.address} took the connection but says nothing: is it an MQTT broker? Trying on")

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            with self._changed:
                news = self._started and self._refusal is None
                self._refusal = str(reason)
                self._changed.notify_all()
            if news:
                console.note(f"{self.address} now refuses ({reason}): trying on")
            return
        # Every time: a broker that keeps nothing on disk has forgotten them. What it never acknowledged paho repeats.
        under_way = set(self._unacknowledged.values())
        for topic, payload in {**self._announcement, self._status_topic: "online"}.items():
            if topic not in under_way:
                self._unacknowledged[client.publish(topic, payload, qos=1, retain=True).mid] = topic
        with self._changed:
            self._connected, self._connected_at, self._refusal = True, self._clock(), None
            self._under_way = False
            self._changed.notify_all()
        self._send()

    def _on_publish(self, client: Any, userdata: Any, number: int, reason: Any, properties: Any) -> None:
        with self._changed:
            if self._unacknowledged.pop(number, None) is None:  # a state, or at the end "offline"
                self._sent += self._under_way
                self._under_way = False
        self._send()

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._changed:
            lost = self._connected and not self._closing
            held = self._clock() - self._connected_at >= HELD_S
            news = lost and (not self._told_gone or held)
            if lost:
                self._lost_soon = 0 if held else self._lost_soon + 1
            often = lost and self._lost_soon == LOST_OFTEN
            self._connected, self._told_gone = False, self._told_gone or lost
        if news:
            console.note(f"{self.address} is gone ({reason}): trying again until it is back")
        if often:
            console.note(
                f"{self.address} ends each connection soon: if another device calls itself {self.address.node} too, "
                f"give each a topic of its own: --mqtt {self.address}/NAME"
            )


def _tls_context(address: MqttAddress) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=address.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise OutputError(f"--mqtt-ca {address.ca_file} holds no certificate that can be read") from error


def _probe(address: MqttAddress, context: ssl.SSLContext | None) -> bool:
    """Whether the broker answers. What cannot mend itself is told at once: raises OutputError."""
    try:
        with socket.create_connection((address.host, address.port), CONNECT_WITHIN_S) as plain:
            if context is not None:
                context.wrap_socket(plain, server_hostname=address.host).close()
    except ssl.SSLCertVerificationError as error:
        raise OutputError(
            f"{address} shows a certificate that is not accepted ({error.verify_message}): give its authority's file "
            "with --mqtt-ca, use the name that is in the certificate, and check the clock (date)"
        ) from error
    except (ssl.SSLError, ConnectionResetError) as error:
        raise OutputError(f"{address} does not speak TLS ({error}): is this its TLS port (often 8883)?") from error
    except OSError as error:
        console.note(f"{address} does not answer ({error.strerror or error}): trying again until it does")
        return False
    return True
