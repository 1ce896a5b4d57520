"""`run --web`: a page for the phone, on a small server in a thread of its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from ..board import BoardState, read_this_board
from ..errors import OptionError, OutputError, RuntimeMissingError
from ..preprocess import Image
from ..results import FrameResult
from .output import Output

DEFAULT_PORT = 8080
START_WITHIN_S = 20.0
STOP_WITHIN_S = 0.8


class WebOutput(Output):
    """Serves the page until closed. `write` notes the frame and returns; encoding and sending happen elsewhere.

    address: `HOST:PORT`; frames: whether pictures are shown at all; kept: what else is stored or passed on, which
    the page then says. Raises OptionError for an address that needs a token and has none, OutputError when the port is
    taken, RuntimeMissingError without the `web` extra.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        frames: bool = True,
        kept: Sequence[str] = (),
        board: Callable[[], BoardState] = read_this_board,
    ) -> None:
        host, port, token = check_web(address, token)
        import uvicorn

        from .web_app import Page
        from .web_connection import MOST_CONNECTIONS, Connection
        from .web_live import Live

        self._socket = _listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.needs_image = frames
        self._live = Live()
        self._page = Page(self._live, board, frames, kept)
        app = self._page.app(token, cookie=f"edge_emotion_{self.port}")
        # No access log: it would show the token of a first visit.
        config = uvicorn.Config(
            app, log_config=None, access_log=False, log_level="critical", server_header=False, lifespan="on",
            http=Connection, ws="none", proxy_headers=False, backlog=MOST_CONNECTIONS, timeout_graceful_shutdown=0,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web", daemon=True)
        self._thread.start()
        self._wait_until_started()

    @property
    def url(self) -> str:
        """The address to open, without the token."""
        host = self.host
        if host in ("0.0.0.0", "::"):
            host = f"{socket.gethostname()}.local"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def write(self, result: FrameResult, image: Image | None) -> None:
        """Note the frame."""
        self._live.record(result, image if self.needs_image else None)

    def close(self) -> None:
        """Stop serving; open pages are cut off and try again by themselves."""
        self._server.should_exit = True
        self._thread.join(STOP_WITHIN_S)
        if not self._thread.is_alive():  # else the server still has it, and closes it itself
            self._socket.close()

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + START_WITHIN_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.close()
                raise OutputError(f"the web server on {self.host}:{self.port} did not start: --debug shows why")
            time.sleep(0.01)


def check_web(address: str, token: str | None) -> tuple[str, int, str | None]:
    """Host and port of `--web`, and the token as it is compared.

    Raises OptionError or RuntimeMissingError as `WebOutput` does.
    """
    if not (find_spec("starlette") and find_spec("uvicorn")):
        raise RuntimeMissingError.of_extra("web", "--web needs a small web server")
    from .web_guard import check_token

    host, port = parse_address(address)
    return host, port, check_token(host, token)


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` as (host, port); `:8080` and `8080` mean this machine only, port 0 any free one.

    >>> parse_address("0.0.0.0:80"), parse_address("[::1]:8080"), parse_address("8080")
    (('0.0.0.0', 80), ('::1', 8080), ('127.0.0.1', 8080))
    """
    host, _, port = text.rpartition(":")
    try:
        host.encode("idna")  # as every look-up does
        is_address = port.isascii() and port.isdigit() and int(port) <= 65535
    except UnicodeError:
        is_address = False
    if not is_address or (":" in host and not host.startswith("[")):
        raise OptionError(f"--web takes HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}; got {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


def _listen(host: str, port: int) -> socket.socket:
    from .web_stream import STALLED_AFTER_S

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OutputError(f"--web {host}: no such address on this machine ({error.strerror or error})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; its connections inherit it, and end with what waits to be sent
            milliseconds = round(1000 * STALLED_AFTER_S)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OutputError(_why_not(host, port, error)) from error
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another program: choose another, such as --web {host}:{port + 1}"
    if error.errno == errno.EACCES:
        return f"port {port} needs root (all below 1024 do): choose another, such as --web {host}:{DEFAULT_PORT}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: use 127.0.0.1, or 0.0.0.0 for the network"
    return f"cannot serve on {host}:{port}: {os.strerror(error.errno or 0)}"
