"""Responses that never end. A slow viewer skips what it missed; it never queues and never slows another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.types import Receive, Scope, Send

STALLED_AFTER_S = 20.0


class Channel:
    """The newest of something, for any number of readers."""

    def __init__(self) -> None:
        self._item: bytes | None = None
        self._version = 0
        self._changed = asyncio.Event()
        self.readers = 0

    def publish(self, item: bytes) -> None:
        """Replace the newest item and wake the readers. Costs the same for a stalled reader as for none."""
        self._item, self._version = item, self._version + 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def forget(self) -> None:
        """Nobody who comes later is shown what was new long ago."""
        self._item = None

    async def items(self) -> AsyncIterator[bytes]:
        """Each item that is newest when the reader comes for it."""
        seen = 0
        while True:
            while self._item is None or seen == self._version:
                await self._changed.wait()
            seen = self._version
            yield self._item

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While inside, one more reader is counted."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            if not self.readers:
                self.forget()


class LiveResponse:
    """An ASGI response that sends what `items` yields until the viewer leaves, stalls, or the server stops.

    HEAD gets the headers alone, and is no viewer.
    """

    def __init__(
        self, channel: Channel, items: AsyncIterator[bytes], media_type: str, stalled_after_s: float = STALLED_AFTER_S
    ) -> None:
        self._channel = channel
        self._items = items
        self._media_type = media_type
        self._stalled_after_s = stalled_after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one viewer, counted before anything is awaited."""
        if scope["method"] == "HEAD":
            await self._start(send)
            await send({"type": "http.response.body"})
            return
        with self._channel.reading():
            tasks = {asyncio.create_task(self._send_all(send)), asyncio.create_task(_leaves(receive))}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self, send: Send) -> None:
        headers = [(b"content-type", self._media_type.encode()), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _send_all(self, send: Send) -> None:
        async with asyncio.timeout(self._stalled_after_s):
            await self._start(send)
        async for item in self._items:
            async with asyncio.timeout(self._stalled_after_s):
                await send({"type": "http.response.body", "body": item, "more_body": True})


async def _leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


MJPEG = "multipart/x-mixed-replace; boundary=frame"
MJPEG_START = b"--frame\r\n"


def mjpeg_part(jpeg: bytes) -> bytes:
    """One part of an MJPEG body (RFC 2046 5.1), with the boundary that ends it: browsers show a part only then."""
    return b"content-type: image/jpeg\r\ncontent-length: %d\r\n\r\n%b\r\n--frame\r\n" % (len(jpeg), jpeg)


def server_sent_event(name: str, data: str) -> bytes:
    """One event of the HTML standard's server-sent events; data has no line break (JSON has none)."""
    return f"event: {name}\ndata: {data}\n\n".encode()
