from __future__ import annotations

from pathlib import Path

import pytest
from edge_emotion.edge_runtime.errors import OptionError
from edge_emotion.edge_runtime.outputs.mqtt_address import parse_mqtt
from hypothesis import given
from hypothesis import strategies as st


def test_the_short_way() -> None:
    address = parse_mqtt("mqtt://broker.local", environment={}, host_name="pi 5")
    assert (address.host, address.port, address.tls) == ("broker.local", 1883, False)
    assert (address.topic, address.node) == ("edge-emotion/pi-5", "pi-5")
    assert (address.user, address.password) == (None, None)
    assert parse_mqtt("broker.local:1884", environment={}).port == 1884


def test_the_long_way(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    (tmp_path / "ca.pem").write_text("")
    address = parse_mqtt(
        "mqtts://ann@[::1]:99/house/door", tmp_path / "ca.pem", tmp_path / "password", environment={}, host_name="pi"
    )
    assert (address.host, address.port, address.tls, address.topic) == ("::1", 99, True, "house/door")
    assert str(address) == "mqtts://[::1]:99"
    assert (address.user, address.password, address.node) == ("ann", "geheim", "house-door")


def test_two_cameras_of_one_host_are_two_clients() -> None:
    nodes = {parse_mqtt(f"mqtt://b/{topic}", environment={}, host_name="pi").node for topic in ("door", "hall", "")}
    assert nodes == {"door", "hall", "pi"}


def test_user_and_password_from_the_environment(tmp_path: Path) -> None:
    env = {"EDGE_EMOTION_MQTT_USER": "ann", "EDGE_EMOTION_MQTT_PASSWORD": "geheim"}
    address = parse_mqtt("mqtt://b", environment=env)
    assert (address.user, address.password) == ("ann", "geheim")
    assert "geheim" not in repr(address) + str(address)
    (tmp_path / "p").write_text("aus der Datei")
    env["EDGE_EMOTION_MQTT_PASSWORD_FILE"] = str(tmp_path / "p")
    assert parse_mqtt("mqtt://b", environment=env).password == "aus der Datei"


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(OptionError, match="may not hold a password") as error:
        parse_mqtt("mqtt://ann:geheim@broker", environment={})
    assert "geheim" not in str(error.value)
    with pytest.raises(OptionError, match="no valid host and port") as error:
        parse_mqtt("mqtt://ann:geheim@broker:99999", environment={})
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://broker", "mqtt://HOST"),
        ("mqtt://", "mqtt://HOST"),
        ("", "mqtt://HOST"),
        ("mqtt://b?x=1", "mqtt://HOST"),
        ("mqtt://b:port", "no valid host and port"),
        ("mqtt://a..b", "no valid host and port"),
        ("mqtt://b/a/+/b", "may not hold"),
        ("mqtt://b/%23", "may not hold"),
        ("mqtt://b/$SYS", "may not hold"),
    ],
)
def test_addresses_that_are_none(url: str, why: str) -> None:
    with pytest.raises(OptionError, match=why):
        parse_mqtt(url, environment={})


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot read the MQTT password"):
        parse_mqtt("mqtt://u@b", password_file=tmp_path / "none", environment={})
    with pytest.raises(OptionError, match="does not exist"):
        parse_mqtt("mqtts://b", ca_file=tmp_path / "none", environment={})
    with pytest.raises(OptionError, match="for TLS"):
        parse_mqtt("mqtt://b", ca_file=tmp_path / "none", environment={})
    with pytest.raises(OptionError, match="without a user"):
        parse_mqtt("mqtt://b", environment={"EDGE_EMOTION_MQTT_PASSWORD": "x"})


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_clear_refusal(text: str) -> None:
    try:
        address = parse_mqtt(text, environment={})
    except OptionError:
        return
    except ValueError as error:  # pragma: no cover
        pytest.fail(f"{error!r}")
    assert address.host
    assert 0 < address.port <= 65535
    assert not set("+#") & set(address.topic)
