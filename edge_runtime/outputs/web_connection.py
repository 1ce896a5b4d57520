"""A connection to the page's server: how many there can be, and how long one may say nothing."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 128  # two streams for each of 32 pages, and as many short requests
SILENT_S = 10.0


class Connection(H11Protocol):
    """Uvicorn's, which itself ends those that say nothing after a request, but not those that never make a whole one.

    Each holds a file handle, and the process has about a thousand: without them it can open neither camera nor file.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new one, let go at once when there are too many."""
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._expect_a_request()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request, or a whole one."""
        super().data_received(data)
        self._expect_a_request()

    def _expect_a_request(self) -> None:
        """Unless one is being answered, it is to be whole in SILENT_S: bytes that drip in put nothing off."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif not is_answering and self._deadline is None:
            self._deadline = self.loop.call_later(SILENT_S, self.transport.abort)
