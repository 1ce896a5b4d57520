from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the web extra")

from edge_emotion.edge_runtime.outputs.web_stream import Channel, LiveResponse, mjpeg_part, server_sent_event

Message = MutableMapping[str, Any]
GET = {"method": "GET"}


async def never() -> Message:
    await asyncio.Event().wait()
    return {}


def leaving(left: asyncio.Event) -> Callable[[], Awaitable[Message]]:
    """What a viewer's connection tells when it leaves."""

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    return receive


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_stalled_reader_costs_nothing_and_gets_the_newest_when_it_comes_back() -> None:
    async def scenario() -> None:
        channel = Channel()
        stuck, received = asyncio.Event(), []

        async def slow(message: Message) -> None:
            received.append(message.get("body"))
            if len(received) == 2:
                await stuck.wait()

        task = asyncio.create_task(LiveResponse(channel, channel.items(), "text/plain")(GET, never, slow))
        await settle()
        for i in range(1000):
            channel.publish(b"%d" % i)
            await settle()
        assert received == [None, b"0"]  # nothing was queued for it
        stuck.set()
        await settle()
        assert received[2:] == [b"999"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert channel.readers == 0

    asyncio.run(scenario())


def test_what_is_forgotten_is_shown_to_nobody_who_comes_later() -> None:
    async def scenario() -> None:
        channel = Channel()
        channel.publish(b"old")
        with channel.reading():
            channel.forget()
            later = asyncio.ensure_future(anext(channel.items()))
            await settle()
            assert not later.done()
            channel.publish(b"new")
            assert await later == b"new"

    asyncio.run(scenario())


def test_one_stalled_reader_holds_up_none_of_ten() -> None:
    async def scenario() -> None:
        channel = Channel()
        received: list[list[bytes]] = [[] for _ in range(10)]

        async def stalled(message: Message) -> None:
            await asyncio.Event().wait()

        def live(into: list[bytes]) -> Any:
            async def send(message: Message) -> None:
                if message["type"] == "http.response.body":
                    into.append(message["body"])

            return send

        sends = [stalled, *(live(into) for into in received)]
        tasks = [
            asyncio.create_task(LiveResponse(channel, channel.items(), "text/plain")(GET, never, send))
            for send in sends
        ]
        await settle()
        items = [b"%d" % i for i in range(50)]
        for item in items:
            channel.publish(item)
            await settle()
        assert received == [items] * 10
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


def test_a_viewer_that_stalls_for_good_is_let_go() -> None:
    async def scenario() -> None:
        channel = Channel()

        async def stalled(message: Message) -> None:
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        response = LiveResponse(channel, channel.items(), "text/plain", stalled_after_s=0.01)
        task = asyncio.create_task(response(GET, never, stalled))
        await settle()
        channel.publish(b"x")
        await asyncio.wait_for(task, 30)
        assert channel.readers == 0

    asyncio.run(scenario())


def test_a_viewer_that_leaves_is_forgotten() -> None:
    async def scenario() -> None:
        channel = Channel()
        left = asyncio.Event()

        async def send(message: Message) -> None:
            return None

        task = asyncio.create_task(LiveResponse(channel, channel.items(), "text/plain")(GET, leaving(left), send))
        await settle()
        assert channel.readers == 1
        left.set()
        await asyncio.wait_for(task, 30)
        assert channel.readers == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["stalls", "leaves", "is cut off"])
def test_a_viewer_is_counted_before_it_is_answered_and_forgotten_if_it_never_takes_the_answer(how: str) -> None:
    async def scenario() -> None:
        channel = Channel()
        left = asyncio.Event()

        async def stalled(message: Message) -> None:
            assert message["type"] == "http.response.start"
            await asyncio.Event().wait()

        patience_s = 0.01 if how == "stalls" else 600
        response = LiveResponse(channel, channel.items(), "text/plain", stalled_after_s=patience_s)
        task = asyncio.create_task(response(GET, leaving(left), stalled))
        await asyncio.sleep(0)
        assert channel.readers == 1
        if how == "leaves":
            left.set()
        elif how == "is cut off":
            task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.done()
        assert channel.readers == 0

    asyncio.run(scenario())


def test_after_the_last_reader_nothing_old_is_kept() -> None:
    channel = Channel()
    with channel.reading():
        with channel.reading():
            channel.publish(b"picture")
        assert channel._item == b"picture"
    assert channel._item is None


def test_formats() -> None:
    assert mjpeg_part(b"abc") == b"content-type: image/jpeg\r\ncontent-length: 3\r\n\r\nabc\r\n--frame\r\n"
    assert server_sent_event("state", "{}") == b"event: state\ndata: {}\n\n"
