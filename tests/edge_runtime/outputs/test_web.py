from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import SplitResult, urlsplit

import cv2
import numpy as np
import pytest
from edge_emotion.edge_runtime.board import FIRMWARE_THROTTLED, BoardState, LinuxSystem, Ran, read_throttled
from edge_emotion.edge_runtime.errors import OptionError, OutputError
from edge_emotion.edge_runtime.results import FrameResult
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("uvicorn", reason="needs the web extra")

from edge_emotion.edge_runtime.outputs import web_app, web_connection, web_guard
from edge_emotion.edge_runtime.outputs.choice import open_outputs
from edge_emotion.edge_runtime.outputs.web import WebOutput, parse_address
from edge_emotion.edge_runtime.outputs.web_live import Moment
from edge_emotion.edge_runtime.run_config import RunConfig

Make = Callable[..., FrameResult]
TOKEN = "a-token-of-this-test"
BOARD = BoardState(61.2, ("under-voltage",), ("under-voltage", "throttled"), 800)


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_emotion.edge_runtime.outputs.web_guard.REFUSAL_DELAY_S", 0.0)


@pytest.fixture
def web() -> Iterator[WebOutput]:
    with WebOutput("127.0.0.1:0", board=lambda: BOARD) as output:
        yield output


@pytest.fixture
def guarded() -> Iterator[WebOutput]:
    with WebOutput("127.0.0.1:0", token=TOKEN, board=lambda: BOARD) as output:
        yield output


def ask(
    output: WebOutput, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", output.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def follow(output: WebOutput, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", output.port, timeout=30)
    connection.request("GET", path)
    return connection, connection.getresponse()


def next_picture(answer: http.client.HTTPResponse) -> np.ndarray:
    while not (line := answer.readline()).startswith(b"content-length:"):
        pass
    answer.readline()
    shown = cv2.imdecode(np.frombuffer(answer.read(int(line.split()[1])), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    return shown


def test_the_page_and_its_files_ask_nothing_of_other_hosts(web: WebOutput) -> None:
    for path in ("/", "/page.js", "/style.css"):
        status, headers, body = ask(web, path)
        assert status == 200
        assert b"http://" not in body
        assert b"https://" not in body
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_the_page_tells_that_people_are_to_be_informed(web: WebOutput) -> None:
    body = ask(web, "/")[2].decode()
    assert "Tell everyone who can be in its view" in body
    assert "5(1)(f)" in body


def test_the_page_tells_what_is_stored(tmp_path: Path) -> None:
    nothing = "Nothing seen on this page is stored."
    for options, told in (
        ({}, nothing),
        ({"jsonl": "-"}, "Stored or passed on: each face's place and expression (standard output)."),
        ({"csv": str(tmp_path / "a.csv")}, "Stored or passed on: each face's place and expression (a file)."),
        ({"video": str(tmp_path / "a.avi")}, "Stored or passed on: the picture (a video)."),
    ):
        outputs = open_outputs(RunConfig("0", web="127.0.0.1:0", **options))  # type: ignore[arg-type]
        try:
            body = ask(next(o for o in outputs if isinstance(o, WebOutput)), "/")[2].decode()
        finally:
            for output in outputs:
                output.close()
        assert told in body
        assert (nothing in body) == (not options)


def test_health_follows_the_camera(web: WebOutput, make_result: Make) -> None:
    assert ask(web, "/healthz")[0] == 503
    web.write(make_result(), None)
    assert ask(web, "/healthz")[::2] == (200, b"ok\n")


def test_metrics(web: WebOutput, make_result: Make) -> None:
    web.write(make_result(), None)
    status, headers, body = ask(web, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"edge_emotion_frames_total 1\n" in body
    lines = body.decode().splitlines()
    assert {"edge_emotion_viewers 0", "edge_emotion_throttled 1"} <= set(lines)
    for name in {line.split()[2] for line in lines if line.startswith("# TYPE")}:
        assert sum(line.startswith((f"# HELP {name} ", f"# TYPE {name} ")) for line in lines) == 2


def test_events_carry_the_state(web: WebOutput, make_result: Make) -> None:
    web.write(make_result(7, faces=2), None)
    connection, answer = follow(web, "/events")
    assert answer.getheader("content-type") == "text/event-stream"
    assert answer.readline() == b"event: state\n"
    state = json.loads(answer.readline().removeprefix(b"data: "))
    assert state["result"]["frame"] == 7
    assert (state["faces"], state["dominant"], state["alive"], state["pictures"]) == (2, "happy", True, True)
    connection.close()


def test_the_picture_is_a_jpeg_of_the_newest_frame_and_the_frame_is_not_drawn_on(
    web: WebOutput, make_result: Make
) -> None:
    picture = np.full((120, 200, 3), 90, np.uint8)
    web.write(make_result(), picture)
    connection, answer = follow(web, "/picture")
    assert answer.getheader("content-type") == "multipart/x-mixed-replace; boundary=frame"
    shown = next_picture(answer)
    assert shown.shape == (120, 200, 3)
    assert np.ptp(shown) > 50  # a box was drawn
    assert np.ptp(picture) == 0  # not into the frame
    connection.close()


def test_the_last_picture_does_not_outlive_the_camera(
    web: WebOutput, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.write(make_result(0), np.zeros((40, 80, 3), np.uint8))
    watching, answer = follow(web, "/picture")  # and stays: the newest picture is kept for others
    assert next_picture(answer).shape == (40, 80, 3)
    later = time.monotonic() + 60
    monkeypatch.setattr(web._live, "_clock", lambda: later)
    for _ in range(2000):
        if web._page.pictures._item is None:
            break
        ask(web, "/healthz")
    connection, answer = follow(web, "/picture")
    web.write(make_result(1), np.zeros((30, 60, 3), np.uint8))
    assert next_picture(answer).shape == (30, 60, 3)
    connection.close()
    watching.close()


def test_the_picture_says_when_a_label_is_uncertain(make_result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_emotion.edge_runtime.outputs import web_app

    drawn: list[Any] = []

    def annotate(image: Any, faces: Any) -> Any:
        drawn.extend(faces)
        return image

    monkeypatch.setattr(web_app, "annotate", annotate)
    result = make_result()
    faces = (replace(result.faces[0], state="uncertain"),)
    web_app.encode(replace(result, faces=faces), np.zeros((120, 200, 3), np.uint8))
    assert drawn == [((10, 10, 50, 50), "#1 happy? 70 %")]


@pytest.mark.parametrize("shape", [(120, 200), (1080, 1920, 3), (1, 1)])
def test_any_picture_is_encoded(shape: tuple[int, ...], make_result: Make) -> None:
    from edge_emotion.edge_runtime.outputs.web_app import PICTURE_WIDTH, encode

    shown = cv2.imdecode(np.frombuffer(encode(make_result(), np.zeros(shape, np.uint8)), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    assert shown.shape[1] <= PICTURE_WIDTH


def test_no_frames_keeps_no_picture(make_result: Make) -> None:
    with WebOutput("127.0.0.1:0", frames=False, board=lambda: BOARD) as web:
        assert web.needs_image is False
        web.write(make_result(), np.zeros((9, 9, 3), np.uint8))
        assert web._live.newest is not None
        assert web._live.newest[1] is None
        assert ask(web, "/picture")[0] == 404


def test_nothing_is_encoded_while_nobody_looks(
    web: WebOutput, make_result: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_emotion.edge_runtime.outputs import web_app

    encoded: list[int] = []
    real = web_app.encode

    def counted(result: FrameResult, image: Any) -> bytes:
        encoded.append(result.frame)
        return real(result, image)

    monkeypatch.setattr(web_app, "encode", counted)
    for i in range(20):
        web.write(make_result(i), np.zeros((9, 9, 3), np.uint8))
        ask(web, "/healthz")
    assert encoded == []
    watchers = [follow(web, "/picture") for _ in range(5)]
    for _, answer in watchers:
        assert answer.readline() == b"--frame\r\n"
        while b"--frame" not in answer.readline():
            pass
    web.write(make_result(20), np.zeros((9, 9, 3), np.uint8))
    for _, answer in watchers:
        while b"--frame" not in answer.readline():
            pass
    assert len(encoded) <= len(watchers) + 1  # once for all that watch, not once for each and each frame
    assert encoded[-1] == 20
    for connection, _ in watchers:
        connection.close()


def test_head_asks_for_the_headers_alone(web: WebOutput) -> None:
    for path, kind in (("/events", "text/event-stream"), ("/picture", "multipart/x-mixed-replace; boundary=frame")):
        status, headers, body = ask(web, path, method="HEAD")
        assert (status, headers["content-type"], body) == (200, kind, b"")
    assert (web._page.states.readers, web._page.pictures.readers) == (0, 0)


def test_an_error_has_the_headers_of_every_answer(web: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(of: Any) -> bool:
        raise ValueError("made for this test")

    monkeypatch.setattr(type(web._live), "alive", property(fail))
    status, headers, body = ask(web, "/healthz")
    assert (status, body) == (500, b"internal error\n")
    assert set(web_guard.HEADERS) <= set(headers)


def test_the_board_is_asked_only_for_those_who_look() -> None:
    asked: list[int] = []

    def board() -> BoardState:
        asked.append(1)
        return BOARD

    with WebOutput("127.0.0.1:0", board=board) as web:
        ask(web, "/healthz")
        assert asked == []
        connection, answer = follow(web, "/events")
        while not (line := answer.readline()).startswith(b"data: "):
            pass
        assert json.loads(line[6:])["board"]["temperature_c"] == BOARD.temperature_c
        assert b"edge_emotion_throttled 1\n" in ask(web, "/metrics")[2]
        web._page._board_read_s = -web_app.BOARD_EVERY_S
        ask(web, "/metrics")
        assert len(asked) >= 2
        connection.close()


def test_a_firmware_that_hangs_is_given_up_before_it_is_asked_anew() -> None:
    system = Mock(spec=LinuxSystem)
    system.read = lambda path: None if path == FIRMWARE_THROTTLED else "Raspberry Pi 4"
    system.run.return_value = Ran(124)
    assert read_throttled(system) is None
    assert system.run.call_args.kwargs["timeout_s"] < web_app.BOARD_EVERY_S


def test_a_foreign_name_for_this_machine_is_refused(web: WebOutput) -> None:
    for name in ("evil.example", "evil.example:80", "", "localhost.evil.example"):
        assert ask(web, "/", {"Host": name})[0] == 421
    for name in (f"localhost:{web.port}", "127.0.0.1", "[::1]:80"):
        assert ask(web, "/", {"Host": name})[0] == 200


def test_without_the_token_nothing_but_health_is_shown(guarded: WebOutput, make_result: Make) -> None:
    guarded.write(make_result(), None)
    for path in ("/events", "/picture", "/metrics", "/page.js", "/nothing"):
        assert ask(guarded, path)[0] == 401, path
    status, _, body = ask(guarded, "/")
    assert status == 401
    assert b"<form" in body
    assert ask(guarded, "/healthz")[0] == 200


@pytest.mark.parametrize("host", ["x/healthz?", "x/style.css?", "x/login?", "["])
def test_the_host_header_opens_nothing(
    guarded: WebOutput, make_result: Make, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.requests import Request

    def url_of_old(request: Request) -> SplitResult:  # Starlette before 1.0.1
        return urlsplit(f"http://{request.headers['host']}{request.scope['path']}")

    monkeypatch.setattr(Request, "url", property(url_of_old))
    guarded.write(make_result(), None)
    for path in ("/metrics", "/picture", "/events", "/"):
        assert ask(guarded, path, {"Host": host})[0] == 401, path
    assert ask(guarded, f"/?token={TOKEN}", {"Host": host})[0] == 303


@pytest.mark.parametrize("wrong", ["", "a-token-of-this-tesT", "ä", TOKEN + "x", "\N{PILE OF POO}"])
def test_a_wrong_token_is_refused(guarded: WebOutput, wrong: str) -> None:
    from urllib.parse import quote

    assert ask(guarded, f"/?token={quote(wrong)}")[0] == 401
    assert ask(guarded, "/login", method="POST", body=f"token={quote(wrong)}")[0] == 401
    assert ask(guarded, "/metrics", {"Authorization": f"Bearer {quote(wrong)}"})[0] == 401
    assert ask(guarded, "/", {"Cookie": f"edge_emotion_{guarded.port}={quote(wrong)}"})[0] == 401


def test_the_first_visit_gets_a_cookie_and_a_clean_address(guarded: WebOutput) -> None:
    for path, method, body in ((f"/?token={TOKEN}", "GET", None), ("/login", "POST", f"token={TOKEN}")):
        status, headers, _ = ask(guarded, path, method=method, body=body)
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie  # a strict one does not come along from a link elsewhere
        assert TOKEN not in cookie
        assert ask(guarded, "/", {"Cookie": cookie.split(";")[0]})[0] == 200
    assert ask(guarded, "/metrics", {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_token_with_a_line_break_lets_in() -> None:
    with WebOutput("127.0.0.1:0", token=f"{TOKEN}\r", board=lambda: BOARD) as web:
        assert ask(web, f"/?token={TOKEN}")[0] == 303
        assert ask(web, "/metrics", {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_wrong_token_is_told_and_login_leads_on_who_is_in(guarded: WebOutput) -> None:
    told = b"That is not the token."
    assert told not in ask(guarded, "/")[2]
    assert told in ask(guarded, "/login", method="POST", body="token=some-wrong-token")[2]
    assert told in ask(guarded, "/?token=some-wrong-token")[2]
    cookie = ask(guarded, f"/?token={TOKEN}")[1]["set-cookie"].split(";")[0]
    for method in ("GET", "POST"):
        status, headers, _ = ask(guarded, "/login", {"Cookie": cookie}, method)
        assert (status, headers["location"]) == (303, "/")


def test_the_cookie_lives_through_a_restart_and_dies_with_the_token() -> None:
    with WebOutput("127.0.0.1:0", token=TOKEN, board=lambda: BOARD) as first:
        session = ask(first, f"/?token={TOKEN}")[1]["set-cookie"].split(";")[0].partition("=")[2]
    for token, expected in ((TOKEN, 200), ("another-token-now", 401)):
        with WebOutput("127.0.0.1:0", token=token, board=lambda: BOARD) as again:
            assert ask(again, "/", {"Cookie": f"edge_emotion_{again.port}={session}"})[0] == expected


def test_a_redirect_never_leaves_this_host(guarded: WebOutput) -> None:
    status, headers, _ = ask(guarded, f"//evil.example/?token={TOKEN}")
    assert status == 303
    assert not headers["location"].startswith("//")


def test_the_token_is_compared_in_constant_time(guarded: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def counted(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    ask(guarded, "/?token=some-wrong-token")
    assert (b"some-wrong-token", TOKEN.encode()) in compared


def test_no_token_in_any_log(
    guarded: WebOutput, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    ask(guarded, f"/?token={TOKEN}")
    ask(guarded, "/login", method="POST", body=f"token={TOKEN}")
    printed = capfd.readouterr()
    assert TOKEN not in caplog.text + printed.out + printed.err


def test_closing_ends_with_viewers_watching_and_frees_the_port(make_result: Make) -> None:
    web = WebOutput("127.0.0.1:0", board=lambda: BOARD)
    web.write(make_result(), np.zeros((9, 9, 3), np.uint8))
    watchers = [follow(web, path) for path in ("/events", "/picture", "/events")]
    web.close()
    web.close()  # twice does no harm
    assert not web._thread.is_alive()
    for connection, _ in watchers:
        connection.close()
    with WebOutput(f"127.0.0.1:{web.port}", board=lambda: BOARD):
        pass


@pytest.mark.parametrize("path", ["/events", "/picture"])
def test_of_viewers_that_come_all_at_once_no_more_than_the_most_are_let_in(web: WebOutput, path: str) -> None:
    most, threads = web_app.MOST_VIEWERS, threading.active_count()
    viewers = [socket.create_connection(("127.0.0.1", web.port), timeout=60) for _ in range(most + 16)]
    for viewer in viewers:
        viewer.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answers = [viewer.recv(12) for viewer in viewers]
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 503")) == (most, 16)
    assert threading.active_count() <= threads + 1  # the one that reads the board
    for viewer in viewers:
        viewer.close()
    for _ in range(2000):
        if not web._page.states.readers and not web._page.pictures.readers:
            break
        ask(web, "/healthz")
    connection, answer = follow(web, path)  # their places are free again
    assert answer.status == 200
    assert (web._page.states.readers, web._page.pictures.readers) in ((1, 0), (0, 1))
    connection.close()


def is_let_go(connection: socket.socket) -> bool:
    connection.settimeout(60)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_connections_that_ask_for_nothing_are_let_go(web: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "SILENT_S", 0.01)
    for said in (b"", b"GET / HT"):
        with socket.create_connection(("127.0.0.1", web.port)) as silent:
            silent.sendall(said)
            assert is_let_go(silent)
    assert ask(web, "/")[0] == 200


def test_a_second_request_that_is_never_whole_is_let_go(web: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as silent:
        silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with silent.makefile("rb") as answer:
            while not answer.readline().startswith(b"no frame"):
                pass
        monkeypatch.setattr(web_connection, "SILENT_S", 0.01)
        silent.sendall(b"G")
        assert is_let_go(silent)


def test_a_viewer_is_not_waited_for(web: WebOutput) -> None:
    connection, answer = follow(web, "/events")
    assert answer.readline() == b"event: state\n"
    (held,) = web._server.server_state.connections
    assert isinstance(held, web_connection.Connection)
    assert held._deadline is None
    connection.close()


def test_a_form_that_is_never_sent_whole_is_answered(guarded: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_guard, "FORM_WITHIN_S", 0.01)
    with socket.create_connection(("127.0.0.1", guarded.port)) as form:
        form.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
        form.settimeout(20)
        assert form.recv(12) == b"HTTP/1.1 401"


def test_connections_beyond_the_most_are_let_go(web: WebOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connection, "MOST_CONNECTIONS", 4)
    held = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(4)]
    with socket.create_connection(("127.0.0.1", web.port)) as beyond:
        assert is_let_go(beyond)
    for connection in held:
        connection.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.close()


def test_what_waits_for_a_viewer_that_takes_nothing_does_not_wait_for_ever(web: WebOutput) -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("hardware: this system has no TCP_USER_TIMEOUT")
    assert web._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OutputError, match=f"port {port} of 127.0.0.1 is taken.*--web 127.0.0.1:{port + 1}"):
            WebOutput(f"127.0.0.1:{port}")


def test_an_address_of_another_machine() -> None:
    with pytest.raises(OutputError, match="not an address of this machine"):
        WebOutput("192.0.2.1:8080", token=TOKEN)


def test_the_network_needs_a_token_before_a_port_is_opened() -> None:
    with pytest.raises(OptionError, match="--web-token"):
        WebOutput("0.0.0.0:0")


@pytest.mark.parametrize(
    "text", ["", "pi:", "pi:http", "pi:99999", "::1:8080", "1.2.3.4:-5", "a:b:80", "a..b:80", f"{64 * 'a'}:80"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="HOST:PORT"):
        parse_address(text)


@given(st.integers(0, 65535), st.sampled_from(["127.0.0.1", "pi.local", "[::1]", "[fe80::1]"]))
def test_addresses(port: int, host: str) -> None:
    assert parse_address(f"{host}:{port}") == (host.strip("[]"), port)


# ---- in a browser


Film = Callable[[WebOutput, int], None]


@pytest.fixture
def film(make_result: Make) -> Iterator[Film]:
    """Starts a camera: frames come until the test ends."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def start(output: WebOutput, faces: int) -> None:
        def shoot() -> None:
            frame = 0
            while not ended.wait(0.05):
                output.write(make_result(frame, faces=faces), np.full((240, 320, 3), 120, np.uint8))
                frame += 1

        threads.append(threading.Thread(target=shoot))
        threads[-1].start()

    yield start
    ended.set()
    for thread in threads:
        thread.join()


def watch(web: WebOutput, film: Film, browser: Any, faces: int = 2, **how: Any) -> None:
    film(web, faces)
    browser.open(web.url, **how)
    browser.until(f"document.querySelectorAll('#faces > li').length === {faces}")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_width_light_and_dark(
    web: WebOutput, film: Film, browser: Any, width: int, dark: bool, tmp_path: Path
) -> None:
    watch(web, film, browser, width=width, dark=dark, mobile=width < 500)
    browser.until("document.querySelector('#picture').naturalWidth === 320")
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    columns = browser.evaluate("getComputedStyle(document.querySelector('main')).gridTemplateColumns.split(' ').length")
    assert columns == (1 if width < 500 else 2)
    luminance = browser.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, v) => a + +v, 0)"
    )
    assert (luminance < 200) == dark
    small = browser.evaluate(
        "[...document.querySelectorAll('button')].filter(b => b.offsetHeight < 44 || b.offsetWidth < 44).length"
    )
    assert small == 0  # a finger finds it
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5000
    problems = [e for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert problems == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(web: WebOutput, film: Film, browser: Any, dark: bool) -> None:
    watch(web, film, browser, dark=dark)
    pairs = browser.evaluate(
        """(() => { const s = getComputedStyle(document.documentElement), v = n => s.getPropertyValue('--' + n).trim();
        return [['ink','ground'],['ink','sheet'],['quiet','sheet'],['quiet','ground'],['ink','notice'],
                ['warn','ground'],['warn','sheet'],
                ['on-accent','accent'],['accent','sheet']].map(([a, b]) => [a, b, v(a), v(b)]) })()"""
    )

    def luminance(colour: str) -> float:  # WCAG 2.2
        digits = colour.lstrip("#")
        digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
        channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for front, back, a, b in pairs:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)


def test_what_a_screen_reader_is_told(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser)
    told = browser.accessible()
    for expected in (
        ("heading", "edge-emotion"),
        ("region", "Picture"),
        ("region", "Faces"),
        ("region", "Last five minutes"),
        ("region", "Device"),
        ("complementary", "Notice"),
        ("button", "Hide picture"),
        ("image", "Live picture of the camera, with a box around each face"),
        ("heading", "apparently happy 70\N{NO-BREAK SPACE}% face 1"),
    ):
        assert expected in told
    unnamed = [role for role, name in told if role in ("button", "image", "region", "link", "textbox") and not name]
    assert unnamed == []
    browser.until("document.querySelector('#announce').textContent === '2 faces, apparently happy'")


def test_the_keyboard_hides_the_picture_and_the_stream_ends(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser)
    browser.until("document.querySelector('#picture').naturalWidth === 320")
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.id") == "picture-toggle"
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", 13)
    browser.until("document.querySelector('#picture').hidden")
    assert ("button", "Show picture") in browser.accessible()
    for _ in range(500):
        if web._page.pictures.readers == 0:
            break
        browser.evaluate("new Promise(done => setTimeout(done, 20))")
    assert web._page.pictures.readers == 0
    browser.press("Enter", 13)
    browser.until("!document.querySelector('#picture').hidden")
    assert ("button", "Hide picture") in browser.accessible()


def test_the_page_says_when_the_device_is_gone(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser, faces=1)
    browser.until("document.querySelector('#announce').textContent === '1 face, apparently happy'")
    browser.until("document.querySelector('#connection').textContent === 'live'")
    browser.until("document.querySelector('#throttling').textContent.includes('under-voltage now')")
    web.close()
    browser.until("document.querySelector('#connection').textContent.startsWith('no connection')")
    assert browser.evaluate("document.querySelectorAll('#faces > li').length") == 0
    assert browser.evaluate("document.querySelector('#rate').textContent") == "0.0"
    assert browser.evaluate("document.querySelector('#picture').hidden")
    assert browser.evaluate("document.querySelector('#picture-off').textContent") == "no connection"
    browser.until("document.querySelector('#announce').textContent === ''")


def test_a_device_that_falls_silent_is_gone_too(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser, faces=1)
    browser.evaluate(
        """globalThis.said = [];
           say = (text) => said.push(text);
           setTimeout = new Proxy(setTimeout, { apply(real, _, [run, ms]) {
             return ms === SILENT_MS && !said.includes("silent") ? real(() => { said.push("silent"); run(); }, 0)
                                                                 : real(run, ms); } }); 0"""
    )
    browser.until("said.indexOf('silent') >= 0 && said.lastIndexOf('live') > said.indexOf('silent')")
    assert browser.evaluate("said[said.indexOf('silent') + 1]").startswith("no connection")


def test_a_new_token_is_asked_for(film: Film, browser: Any) -> None:
    with WebOutput("127.0.0.1:0", board=lambda: BOARD) as first:
        watch(first, film, browser)
    with WebOutput(f"127.0.0.1:{first.port}", token=TOKEN, board=lambda: BOARD):
        browser.until("document.querySelector('input[name=token]') !== null")


def test_a_page_too_many_says_so_and_comes_in_when_another_leaves(
    web: WebOutput, film: Film, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(web, 1)
    monkeypatch.setattr(web_app, "MOST_VIEWERS", 0)
    browser.open(web.url)
    browser.until("document.querySelector('#connection')?.textContent.includes('pages are open already')")
    monkeypatch.setattr(web_app, "MOST_VIEWERS", 32)
    browser.until("document.querySelector('#connection').textContent === 'live'")


def test_minutes_are_drawn_when_nobody_is_in_view_any_more(web: WebOutput, make_result: Make, browser: Any) -> None:
    web.write(make_result(faces=1), None)
    web.write(make_result(1, faces=0), None)
    web._live._timeline.append(Moment(0, 1, "happy", 0.9))
    browser.open(web.url)
    drawn = """(() => { const c = document.querySelector('#timeline'); if (!c.width) return false;
        const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
        const paint = document.createElement('canvas').getContext('2d'); paint.fillStyle = accent;
        paint.fillRect(0, 0, 1, 1); const [r, g, b] = paint.getImageData(0, 0, 1, 1).data;
        const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        for (let i = 0; i < p.length; i += 4)
          if (p[i] === r && p[i + 1] === g && p[i + 2] === b && p[i + 3] === 255) return true;
        return false })()"""
    browser.until(drawn)


def test_a_viewer_that_comes_back_sees_the_minutes_at_once(web: WebOutput) -> None:
    web._live._timeline.append(Moment(0, 1, "happy", 0.9))
    connection, answer = follow(web, "/events")
    assert [answer.readline() for _ in range(4)][::3] == [b"event: timeline\n", b"event: state\n"]
    connection.close()


def test_the_minutes_of_another_run_are_not_shown(
    make_result: Make, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "document.querySelector('#timeline-text')?.textContent"
    with WebOutput("127.0.0.1:0", board=lambda: BOARD) as first:
        browser.open(first.url)
        for second in range(3):
            first._live._timeline.append(Moment(second, 1, "happy", 0.9))
        first.write(make_result(), None)
        browser.until(f"{text}?.startsWith('a face for 3 s')")
    with WebOutput(f"127.0.0.1:{first.port}", board=lambda: BOARD) as again:
        again._live._start -= 60  # as when nobody looked for a while: its seconds do not jump back
        again._live._timeline.append(Moment(50, 1, "angry", 0.9))
        browser.until(f"{text}?.startsWith('a face for 1 s of the last five minutes: angry')")


def test_many_faces_leave_no_empty_column(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser, faces=6)
    browser.until("document.querySelector('#picture').naturalWidth === 320")
    edges = browser.evaluate(
        """Object.fromEntries(['picture', 'faces', 'timeline', 'device'].map(name => {
             const box = document.querySelector(`section.${name}`).getBoundingClientRect();
             return [name, [box.top, box.bottom]] }))"""
    )
    assert 0 < edges["timeline"][0] - edges["picture"][1] < 20
    assert 0 < edges["device"][0] - max(edges["faces"][1], edges["picture"][1]) < 20


def test_a_page_that_nobody_sees_leaves_its_connections_to_others(web: WebOutput, film: Film, browser: Any) -> None:
    watch(web, film, browser)
    browser.until("document.querySelector('#picture').naturalWidth === 320")
    see = """Object.defineProperty(document, 'hidden', {{value: {}, configurable: true}});
             document.dispatchEvent(new Event('visibilitychange'))"""
    browser.evaluate(see.format("true"))
    for _ in range(500):
        if not web._page.states.readers and not web._page.pictures.readers:
            break
        browser.evaluate("new Promise(done => setTimeout(done, 20))")
    assert (web._page.states.readers, web._page.pictures.readers) == (0, 0)
    browser.evaluate(see.format("false"))
    browser.until("document.querySelector('#picture').naturalWidth === 320 && document.querySelector('#picture').src")
    assert (web._page.states.readers, web._page.pictures.readers) == (1, 1)


def test_nothing_is_shown_for_longer_than_it_was_seen(
    web: WebOutput, make_result: Make, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [time.monotonic()]
    monkeypatch.setattr(web._live, "_clock", lambda: now_s[0])
    browser.open(web.url)
    for i in range(60):  # four minutes of a happy face
        web.write(make_result(i), np.full((240, 320, 3), 120, np.uint8))
        now_s[0] += 4
    text = "document.querySelector('#timeline-text')?.textContent"
    browser.until(f"{text}?.startsWith('a face for 59 s')")
    browser.until("document.querySelector('#announce').textContent === '1 face, apparently happy'")
    now_s[0] += 3600  # the camera is gone
    browser.until(f"{text} === 'no face in the last five minutes'")
    assert browser.evaluate("document.querySelector('#timeline').getAttribute('aria-label')") == browser.evaluate(text)
    browser.until("document.querySelector('#announce').textContent === ''")
    assert browser.evaluate("document.querySelector('#picture').hidden")


def test_the_login_form_opens_the_page(guarded: WebOutput, film: Film, browser: Any) -> None:
    film(guarded, 1)
    browser.open(guarded.url)
    browser.until("document.activeElement && document.activeElement.id === 'token'")
    assert ("textbox", "Token") in browser.accessible()
    browser.call("Input.insertText", text=TOKEN)
    browser.press("Enter", 13)
    browser.until("document.querySelectorAll('#faces > li').length === 1")
    assert browser.evaluate("location.href") == guarded.url
    assert browser.evaluate("document.cookie") == ""  # HttpOnly
