from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="needs the web extra")

from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.outputs.web_guard import check_token, is_loopback


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


def test_what_stands_around_a_token_is_no_part_of_it() -> None:
    assert check_token("0.0.0.0", " a-token-of-this-test\r\n") == "a-token-of-this-test"
    assert check_token("127.0.0.1", None) is None
    with pytest.raises(OptionError, match="0 characters"):
        check_token("0.0.0.0", " " * 20)


@given(st.text())
def test_no_name_but_localhost_is_loopback(name: str) -> None:
    if is_loopback(name):
        assert name.lower() == "localhost" or name.startswith("127.") or ":" in name
