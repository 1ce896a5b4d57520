"""Against a real mosquitto, started, killed and started again by the tests, and against one that can be silent."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from edge_emotion.edge_runtime.board import BoardState
from edge_emotion.edge_runtime.errors import OutputError
from edge_emotion.edge_runtime.outputs.mqtt_address import MqttAddress
from edge_emotion.edge_runtime.results import FrameResult

pytest.importorskip("paho.mqtt.client", reason="needs the mqtt extra")

from edge_emotion.edge_runtime.outputs import mqtt
from edge_emotion.edge_runtime.outputs.mqtt import MqttOutput

Make = Callable[..., FrameResult]
PROGRAM = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
needs_broker = pytest.mark.skipif(PROGRAM is None, reason="needs mosquitto: apt-get install mosquitto")


class Broker:
    def __init__(self, folder: Path, settings: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        access = "" if "allow_anonymous" in settings else "allow_anonymous true\n"
        self._config.write_text(f"listener {self.port} 127.0.0.1\n{access}{settings}\nuser root\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM
        self._process = subprocess.Popen([PROGRAM, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        pytest.fail("mosquitto does not start")

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait()
            self._process = None


class SilentBroker:
    """Takes one connection after the other, keeps what comes, and acknowledges it only when told to."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.acknowledges = False
        self._changed = threading.Condition()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._connection: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                self._connection, _ = self._server.accept()
                with (
                    self._connection as connection,
                    suppress(OSError, IndexError),
                    connection.makefile("rb") as packets,
                ):
                    while head := packets.read(1):
                        self._take(connection, head[0], packets)

    def _take(self, connection: socket.socket, head: int, packets: Any) -> None:
        length = shift = 0
        while True:  # seven bits a byte, the least first
            more = packets.read(1)[0]
            length |= (more & 127) << shift
            shift += 7
            if more < 128:
                break
        body = packets.read(length)
        if head >> 4 == 1:  # CONNECT
            connection.sendall(b"\x20\x02\x00\x00")
        elif head >> 4 == 3:  # PUBLISH
            end = 2 + int.from_bytes(body[:2])
            number = body[end : end + 2] if head & 6 else b""  # none with QoS 0
            with self._changed:
                self.messages.append((body[2:end].decode(), body[end + len(number) :].decode()))
                self._changed.notify_all()
            if number and self.acknowledges:
                connection.sendall(b"\x40\x02" + number)

    def until(self, told: Callable[[list[tuple[str, str]]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: told(self.messages), 30), self.messages[-5:]

    def faces(self) -> list[int]:
        return [json.loads(payload)["faces"] for topic, payload in self.messages if topic == "t/state"]

    def drop(self) -> None:
        assert self._connection
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # ends `accept`
        self._server.close()


class Listener:
    """A second client that keeps all it gets."""

    def __init__(self, port: int, **login: str) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[tuple[str, str, bool]] = []
        self._changed = threading.Condition()
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(30)

    def _take(self, client: Any, userdata: Any, message: Any) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload.decode(), message.retain))
            self._changed.notify_all()

    def until(self, told: Callable[[list[tuple[str, str, bool]]], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: told(self.messages), 30), self.messages[-5:]

    def states(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for topic, payload, _ in self.messages if topic == "t/state"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "RECONNECT_S", (1, 1))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    made = Listener(broker.port)
    yield made
    made.close()


@pytest.fixture
def silent() -> Iterator[SilentBroker]:
    made = SilentBroker()
    yield made
    made.close()


def address(port: int, **more: Any) -> MqttAddress:
    return MqttAddress("127.0.0.1", port, more.pop("tls", False), "t", "pi", **more)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def until(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        time.sleep(0.02)
    pytest.fail("never true")


def kept_by_paho(out: MqttOutput, topic: str) -> int:
    """How many messages to a topic wait in paho for being sent or acknowledged."""
    with out._client._out_message_mutex:
        return sum(message.topic == topic for message in out._client._out_messages.values())


def output(port: int, **more: Any) -> MqttOutput:
    return MqttOutput(address(port), ("angry", "happy", "neutral"), every_s=more.pop("every_s", 0.0), **more)


@needs_broker
def test_status_state_and_discovery(broker: Broker, listener: Listener, make_result: Make) -> None:
    with output(broker.port) as out:
        out.write(make_result(faces=2, happy=2 / 3), None)
        out.write(make_result(faces=0), None)
        listener.until(lambda told: sum(topic == "t/state" for topic, *_ in told) == 2)
        first, second = listener.states()
        assert (first["faces"], first["dominant"], first["confidence"]) == (2, "happy", 0.6667)
        assert first["probabilities"] == {"angry": 0.1667, "happy": 0.6667, "neutral": 0.1667}
        assert (second["faces"], second["dominant"], second["probabilities"]) == (0, "none", {})
        found = [json.loads(p) for topic, p, _ in listener.messages if p and topic.startswith("homeassistant/sensor/")]
        assert {"Faces", "Apparent expression", "Apparently angry"} <= {sensor["name"] for sensor in found}
    listener.until(lambda told: ("t/status", "offline", False) in told)
    assert out.outcome() == f"2 of 2 states sent to mqtt://127.0.0.1:{broker.port}"


@needs_broker
@pytest.mark.parametrize("ended", ["in order", "by a power failure"])
def test_no_face_outlives_the_run_on_the_broker(
    broker: Broker, listener: Listener, make_result: Make, ended: str
) -> None:
    out = output(broker.port)
    out.write(make_result(faces=1), None)
    listener.until(lambda told: any(topic == "t/state" for topic, *_ in told))
    if ended == "by a power failure":
        out._client.socket().shutdown(socket.SHUT_RDWR)
        listener.until(lambda told: ("t/status", "offline", False) in told)
    out.close()
    listener.until(lambda told: told[-1] == ("t/status", "offline", False))
    late = Listener(broker.port)
    late.until(lambda told: ("t/status", "offline", True) in told and any("config" in topic for topic, *_ in told))
    listener._client.publish("t/end", "")  # after all that the broker keeps
    late.until(lambda told: told[-1][0] == "t/end")
    assert late.states() == []
    late.close()


@needs_broker
def test_a_device_that_vanishes_is_told_by_its_last_will(broker: Broker, listener: Listener) -> None:
    out = output(broker.port)
    listener.until(lambda told: ("t/status", "online", False) in told)
    out._client.socket().shutdown(socket.SHUT_RDWR)  # no farewell
    listener.until(lambda told: ("t/status", "offline", False) in told)
    listener.until(lambda told: told[-1] == ("t/status", "online", False))  # and it came back
    out.close()


@needs_broker
def test_the_broker_is_killed_and_comes_back(
    broker: Broker, make_result: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with output(broker.port, clock=lambda: 0.0) as out:
        out.write(make_result(faces=0), None)
        until(lambda: not out._under_way)
        listening = threading.Event()
        out._client.on_pre_connect = lambda *_: listening.wait(30)  # who comes first would be chance
        broker.kill()
        until(lambda: not out._connected)
        for i in range(20):
            out.write(make_result(i, faces=i), None)
        assert kept_by_paho(out, "t/state") == 0
        broker.start()  # it has forgotten everything
        listener = Listener(broker.port)
        listening.set()
        listener.until(lambda told: any(topic == "t/state" for topic, *_ in told))
        listener.until(lambda told: ("t/status", "online", False) in told)
        listener.until(lambda told: any(topic.startswith("homeassistant/") for topic, *_ in told))
        out.write(make_result(faces=3), None)
        listener.until(lambda told: told[-1][0] == "t/state" and '"faces":3' in told[-1][1])
        assert [state["faces"] for state in listener.states()] == [19, 3]
        listener.close()
    assert "is gone" in capsys.readouterr().err


@pytest.mark.parametrize(("away_s", "faces"), [(2.0, [4]), (20.0, [])])
def test_after_an_outage_only_what_is_still_true_is_sent(
    silent: SilentBroker, make_result: Make, away_s: float, faces: list[int]
) -> None:
    silent.acknowledges = True
    now = [0.0]
    with output(silent.port, clock=lambda: now[0]) as out:
        until(lambda: not out._unacknowledged)
        comes = threading.Event()
        out._client.on_pre_connect = lambda *_: comes.wait(30)
        silent.drop()
        until(lambda: not out._connected)
        for i in range(5):
            out.write(make_result(i, faces=i), None)
        now[0] += away_s  # the camera is gone as well
        silent.messages.clear()
        comes.set()
        silent.until(lambda told: ("t/status", "online") in told)
        until(lambda: out._connected)
    silent.until(lambda told: told[-1] == ("t/status", "offline"))
    assert silent.faces() == faces


def test_a_broker_that_acknowledges_nothing(silent: SilentBroker, make_result: Make) -> None:
    with output(silent.port, clock=lambda: 0.0) as out:
        out.write(make_result(faces=1), None)
        silent.until(lambda _: silent.faces() == [1])
        silent.drop()
        silent.until(lambda told: told.count(("t/status", "online")) == 2)
        until(lambda: out._connected)
        out.write(make_result(faces=2), None)
        silent.until(lambda _: 2 in silent.faces())
        assert kept_by_paho(out, "t/state") == 0
    silent.until(lambda told: told[-1] == ("t/status", "offline"))
    assert silent.faces() == [1, 2]


def test_a_slow_line_gets_the_newest_whenever_one_has_left(make_result: Make) -> None:
    sent: list[int] = []

    class Client:
        def publish(self, topic: str, payload: str, **_: Any) -> None:
            sent.append(json.loads(payload)["faces"])

    with output(free_port()) as out:
        real, out._client, out._connected = out._client, Client(), True
        for i in range(5):
            out.write(make_result(i, faces=i), None)
        assert sent == [0]
        out._on_publish(None, None, 1, None, None)
        assert sent == [0, 4]
        out._on_publish(None, None, 2, None, None)
        assert sent == [0, 4]
        out._on_publish(None, None, 3, None, None)  # "offline" is no state
        assert out.outcome().startswith("2 of 5 states sent")
        out._client, out._connected = real, False


def test_a_broker_that_is_not_there_is_waited_for(make_result: Make, capsys: pytest.CaptureFixture[str]) -> None:
    out = output(free_port())
    for i in range(5):
        out.write(make_result(i), None)
    assert kept_by_paho(out, "t/state") == 0
    out.close()
    out.close()
    assert "does not answer" in capsys.readouterr().err
    assert out.outcome().startswith("0 of 5 states sent to mqtt://127.0.0.1:")


def test_a_broker_that_drops_each_connection_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    class Client:  # paho's, as its callbacks see it
        def __init__(self) -> None:
            self.topics: list[str] = []

        def publish(self, topic: str, *_: Any, **__: Any) -> SimpleNamespace:
            self.topics.append(topic)
            return SimpleNamespace(mid=len(self.topics))

    now = [0.0]
    success = SimpleNamespace(is_failure=False)
    with MqttOutput(address(free_port()), ("angry", "happy"), clock=lambda: now[0]) as out:
        client = Client()
        for _ in range(5):
            out._on_connect(client, None, None, success, None)
            now[0] += 1.0
            out._on_disconnect(client, None, None, "Unspecified error", None)
        assert len(set(client.topics)) == len(client.topics)  # paho sends again what is not acknowledged
        for number in range(1, len(client.topics) + 1):
            out._on_publish(client, None, number, None, None)
        told = capsys.readouterr().err
        assert (told.count("is gone"), told.count("if another device calls itself pi too")) == (1, 1)
        first, client.topics = client.topics, []
        out._on_connect(client, None, None, success, None)
        assert client.topics == first  # the broker may have forgotten what it had
        now[0] += 60.0
        out._on_disconnect(client, None, None, "Unspecified error", None)
        assert capsys.readouterr().err.count("is gone") == 1


@needs_broker
def test_two_devices_of_one_name_are_told(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    told = ""
    with output(broker.port), output(broker.port):
        for _ in range(3000):
            told += capsys.readouterr().err
            if "another device" in told:
                break
            time.sleep(0.02)
    assert (
        f"if another device calls itself pi too, give each a topic of its own: --mqtt mqtt://127.0.0.1:{broker.port}/NAME"
        in told
    )


@needs_broker
def test_a_broker_that_starts_later_gets_the_newest(tmp_path: Path, make_result: Make) -> None:
    broker = Broker(tmp_path)
    with output(broker.port, clock=lambda: 0.0) as out:
        listening = threading.Event()
        out._client.on_pre_connect = lambda *_: listening.wait(30)
        out.write(make_result(faces=4), None)
        broker.start()
        listener = Listener(broker.port)
        listening.set()
        listener.until(lambda told: any(topic == "t/state" and '"faces":4' in payload for topic, payload, _ in told))
        listener.close()
    broker.kill()


@needs_broker
def test_a_broker_that_refuses_the_password(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "ann", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {passwords}")
    broker.start()
    try:
        for login in ({}, {"user": "ann", "password": "wrong"}):
            with pytest.raises(OutputError, match=r"refuses \(Not authorized\)") as error:
                MqttOutput(address(broker.port, **login), ("a", "b"))
            assert "wrong" not in str(error.value)
        MqttOutput(address(broker.port, user="ann", password="right"), ("a", "b")).close()
    finally:
        broker.kill()


@needs_broker
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_tls_with_the_right_and_the_wrong_authority(tmp_path: Path) -> None:
    for name in ("right", "wrong"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    broker = Broker(tmp_path, f"certfile {tmp_path}/right.pem\nkeyfile {tmp_path}/right.key")
    broker.start()
    try:
        MqttOutput(address(broker.port, tls=True, ca_file=tmp_path / "right.pem"), ("a", "b")).close()
        for ca in (tmp_path / "wrong.pem", None):
            with pytest.raises(OutputError, match=r"certificate that is not accepted.*--mqtt-ca"):
                MqttOutput(address(broker.port, tls=True, ca_file=ca), ("a", "b"))
        (tmp_path / "empty.pem").write_text("nothing")
        with pytest.raises(OutputError, match="holds no certificate"):
            MqttOutput(address(broker.port, tls=True, ca_file=tmp_path / "empty.pem"), ("a", "b"))
    finally:
        broker.kill()


@needs_broker
def test_tls_to_a_broker_without(broker: Broker) -> None:
    with pytest.raises(OutputError, match="does not speak TLS"):
        MqttOutput(address(broker.port, tls=True), ("a", "b"))


def test_once_a_second_whatever_the_frame_rate_and_the_wall_clock(make_result: Make) -> None:
    now = [0.0]
    states: list[dict[str, Any]] = []
    with MqttOutput(address(free_port()), ("a", "b"), every_s=1.0, clock=lambda: now[0]) as out:
        for i in range(100):
            out.write(make_result(i), None)
            if out._newest:
                states.append(json.loads(out._newest[1]))
                out._newest = None
            now[0] += 0.04
    assert len(states) == 4
    assert [state["frames_per_s"] for state in states[1:]] == [25.0] * 3


@needs_broker
def test_a_wall_clock_that_jumps_back_holds_nothing_up(
    broker: Broker, listener: Listener, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = [datetime(2026, 11, 22, 12, 0, tzinfo=UTC)]

    monkeypatch.setattr(mqtt, "utc_now", lambda: wall[0].isoformat(timespec="milliseconds"))
    now = [0.0]
    with MqttOutput(address(broker.port), ("a", "b"), every_s=1.0, clock=lambda: now[0]) as out:
        for i in range(3):
            out.write(make_result(faces=i), None)
            listener.until(lambda _, sent=i + 1: len(listener.states()) == sent)  # type: ignore[misc]
            now[0] += 1.0
            wall[0] -= timedelta(hours=1)  # the network's time came late, and the board had been ahead
    assert [(state["faces"], state["time"][11:13]) for state in listener.states()] == [(0, "12"), (1, "11"), (2, "10")]


def test_the_board_is_asked_now_and_then_and_no_frame_waits_for_it(make_result: Make) -> None:
    now, answers = [0.0], iter([50.0, 60.0])
    answer, answered = threading.Event(), threading.Event()

    def board() -> BoardState:
        temperature_c = next(answers)
        if temperature_c > 50.0:
            answer.wait(30)
            answered.set()
        return BoardState(temperature_c, throttled=("under-voltage",))

    def temperature_c() -> float:
        out.write(make_result(), None)
        assert out._newest
        board = json.loads(out._newest[1])["board"]
        assert board["throttled"] == ["under-voltage"]
        return float(board["temperature_c"])

    with MqttOutput(address(free_port()), ("a", "b"), clock=lambda: now[0], board=board) as out:
        assert any("/temperature/" in topic for topic in out._announcement)
        for second in range(60):  # asked a second time after 30, which has no answer yet
            now[0] = float(second)
            assert temperature_c() == 50.0
        answer.set()
        assert answered.wait(30)
        until(lambda: out._board.temperature_c == 60.0)
        now[0] = 59.9
        out._due = 0.0
        assert temperature_c() == 60.0
