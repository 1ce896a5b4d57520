"""The page's addresses: the page itself, its two live streams, and what monitoring asks for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from importlib.resources import files
from typing import Any

import cv2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..annotate import annotate
from ..board import BoardState
from ..preprocess import Image, halve
from ..results import FrameResult
from .web_guard import Guard
from .web_live import Live, metric
from .web_stream import MJPEG, MJPEG_START, Channel, LiveResponse, mjpeg_part, server_sent_event

STATES_PER_S = 4
PICTURES_PER_S = 10
PICTURE_WIDTH = 800  # pixels; a wider picture is halved
JPEG_QUALITY = 70
BOARD_EVERY_S = 3.0
MOST_VIEWERS = 32

_log = logging.getLogger("edge_emotion.web")


class Page:
    """Routes and the tasks that feed them. Pictures are encoded once for all viewers, and only while there is one.

    Every answer is `async`, as Starlette runs others in forty threads: there viewers who come at once would all be let
    in before the first is counted. Here nothing is awaited between the look at `readers` and the response's count.
    """

    def __init__(
        self, live: Live, read_board: Callable[[], BoardState], frames: bool = True, kept: Sequence[str] = ()
    ) -> None:
        self._kept = f"Stored or passed on: {', '.join(kept)}." if kept else "Nothing seen on this page is stored."
        self._live = live
        self._read_board = read_board
        self._frames = frames
        self._board, self._board_read_s = BoardState(), -BOARD_EVERY_S
        self.states = Channel()
        self.pictures = Channel()

    def app(self, token: str | None, cookie: str = "edge_emotion") -> ASGIApp:
        """The ASGI application, guarded."""
        page = {name: files(__package__).joinpath("page", name).read_bytes() for name in ("page.js", "style.css")}
        html = files(__package__).joinpath("page", "index.html").read_bytes().replace(b"{stored}", self._kept.encode())
        login = files(__package__).joinpath("page", "login.html").read_bytes()

        def fixed(content: bytes, media_type: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def answer(request: Request) -> Response:
                return Response(content, media_type=media_type)

            return answer

        app = Starlette(
            routes=[
                Route("/", fixed(html, "text/html")),
                Route("/login", _let_in, methods=["GET", "POST"]),
                Route("/page.js", fixed(page["page.js"], "text/javascript")),
                Route("/style.css", fixed(page["style.css"], "text/css")),
                Route("/events", self._events),
                Route("/picture", self._picture),
                Route("/metrics", self._metrics),
                Route("/healthz", self._healthz),
            ],
            exception_handlers={Exception: _report},
            lifespan=self._lifespan,
        )
        return Guard(app, token, login, cookie)  # around it all: an error is answered outside Starlette's middleware

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        feeds = (self._feed_states, self._feed_pictures, self._feed_board)
        tasks = [asyncio.create_task(_keep_up(feed)) for feed in feeds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _feed_states(self) -> None:
        while True:
            if self.states.readers:
                self.states.publish(server_sent_event("state", _json(self.state())))
            await asyncio.sleep(1 / STATES_PER_S)

    async def _feed_pictures(self) -> None:
        shown = None
        while True:
            newest = self._live.newest
            if not self.pictures.readers or not self._live.alive:
                self.pictures.forget()
                shown = None
            elif newest is not None and newest[1] is not None and newest is not shown:
                shown = newest
                self.pictures.publish(mjpeg_part(await asyncio.to_thread(encode, newest[0], newest[1])))
            await asyncio.sleep(1 / PICTURES_PER_S)

    async def _feed_board(self) -> None:
        while True:
            if self.states.readers:
                await self._renew_board()
            await asyncio.sleep(1 / STATES_PER_S)

    async def _renew_board(self) -> None:
        """Read it when it is older than BOARD_EVERY_S; on some boards that starts a process."""
        if time.monotonic() - self._board_read_s >= BOARD_EVERY_S:
            self._board_read_s = time.monotonic()
            self._board = await asyncio.to_thread(self._read_board)

    def state(self) -> dict[str, Any]:
        """What the page shows, four times a second."""
        return {
            **self._live.to_json(),
            "board": self._board.to_json(),
            "viewers": self.states.readers,
            "pictures": self._frames,
        }

    async def _events(self, request: Request) -> Any:
        if self.states.readers >= MOST_VIEWERS:
            return _full()
        return LiveResponse(self.states, self._state_events(), "text/event-stream")

    async def _state_events(self) -> AsyncIterator[bytes]:
        """Each state, and before it the seconds that are new to this viewer: with the state the page draws them."""
        sent = -1
        await self._renew_board()
        state = server_sent_event("state", _json(self.state()))
        states = self.states.items()
        while True:
            moments = self._live.timeline(sent)
            if moments:
                sent = moments[-1].second
                yield server_sent_event("timeline", _json([moment.to_json() for moment in moments]))
            yield state
            state = await anext(states)

    async def _picture(self, request: Request) -> Any:
        if not self._frames:
            return PlainTextResponse("pictures are switched off (--no-frames)\n", 404)
        if self.pictures.readers >= MOST_VIEWERS:
            return _full()
        return LiveResponse(self.pictures, self._picture_parts(), MJPEG)

    async def _picture_parts(self) -> AsyncIterator[bytes]:
        yield MJPEG_START
        async for part in self.pictures.items():
            yield part

    async def _metrics(self, request: Request) -> Response:
        await self._renew_board()
        lines = [*self._live.metrics(), *metric("viewers", "gauge", "Open pages.", {"": self.states.readers})]
        if self._board.temperature_c is not None:
            lines += metric("temperature_celsius", "gauge", "Processor.", {"": self._board.temperature_c})
        if self._board.throttled is not None:
            lines += metric("throttled", "gauge", "1 while slowed.", {"": bool(self._board.throttled)})
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def _healthz(self, request: Request) -> Response:
        if self._live.alive:
            return PlainTextResponse("ok\n")
        return PlainTextResponse(f"no frame for {self._live.age_s:.0f} s\n", 503)


async def _keep_up(feed: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a feed for ever; one that fails is reported and tried again, the others go on."""
    while True:
        try:
            await feed()
        except Exception as error:
            _log.error("page: %s: %s", type(error).__name__, error)
            await asyncio.sleep(1)


def encode(result: FrameResult, image: Image) -> bytes:
    """A JPEG of the frame with its faces drawn, at most PICTURE_WIDTH wide. The image itself is left as it is."""
    scale = 1
    while image.shape[1] > PICTURE_WIDTH:
        image, scale = halve(image), scale * 2
    faces = [(tuple(v // scale for v in face.box_xywh), face.caption) for face in result.faces]
    drawn = annotate(image, faces)  # type: ignore[arg-type]
    return cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _json(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


async def _let_in(request: Request) -> Response:
    """Who comes here has shown the token: the guard answers all others."""
    return RedirectResponse("/", 303)


def _full() -> Response:
    return PlainTextResponse(f"{MOST_VIEWERS} pages are open already, close one\n", 503)


async def _report(request: Request, error: Exception) -> Response:
    _log.error("page: %s on %s: %s", type(error).__name__, request.scope["path"], error)
    return PlainTextResponse("internal error\n", 500)
