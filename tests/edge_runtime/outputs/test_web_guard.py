from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="needs the web extra")

from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.outputs.web_guard import REFUSAL_DELAY_S, Guard, check_token, is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_needs_no_token(host: str) -> None:
    check_token(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "pi.local", "localhost.evil.example", ""])
def test_any_other_address_needs_one_and_is_offered_one(host: str) -> None:
    with pytest.raises(OptionError, match="--web-token") as first:
        check_token(host, None)
    with pytest.raises(OptionError, match="--web-token") as second:
        check_token(host, None)
    assert str(first.value) != str(second.value)  # the token offered is made anew each time


def test_a_token_that_could_be_guessed_is_refused_and_not_repeated() -> None:
    with pytest.raises(OptionError, match="6 characters, at least 12") as error:
        check_token("127.0.0.1", "secret")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["ein-schlüssel-der-passt", "a-token\twith-a-tab", "\N{PILE OF POO}" * 12])
def test_a_token_that_no_header_carries_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(OptionError, match="only printable ASCII characters") as error:
        check_token("127.0.0.1", token)
    assert token not in str(error.value)


@pytest.mark.parametrize(
    ("headers", "query", "waits"),
    [
        ({}, "", False),
        ({"authorization": "Basic YTpi"}, "", False),
        ({"authorization": "Bearer some-wrong-token"}, "", True),
        ({"cookie": "the-cookie=some-wrong-session"}, "", True),
        ({}, "token=some-wrong-token", True),
    ],
)
def test_every_wrong_token_is_answered_late(
    headers: dict[str, str], query: str, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    answers: list[Any] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def send(message: Any) -> None:
        answers.append(message)

    async def nothing(*_: Any) -> Any:
        return {}

    monkeypatch.setattr(asyncio, "sleep", sleep)
    guard = Guard(nothing, "the-token-of-this-test", b"", "the-cookie")
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": query.encode(), "headers": raw}
    asyncio.run(guard(scope, nothing, send))
    assert answers[0]["status"] == 401
    assert waited == ([REFUSAL_DELAY_S] if waits else [])


def test_what_stands_around_a_token_is_no_part_of_it() -> None:
    assert check_token("0.0.0.0", " a-token-of-this-test\r\n") == "a-token-of-this-test"
    assert check_token("127.0.0.1", None) is None
    with pytest.raises(OptionError, match="0 characters"):
        check_token("0.0.0.0", " " * 20)


@given(st.text())
def test_no_name_but_localhost_is_loopback(name: str) -> None:
    if is_loopback(name):
        assert name.lower() == "localhost" or name.startswith("127.") or ":" in name
