"""Validators of a page's origin, around connect consumers."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from routechan import DenyConnection, Message, route
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.auth import channel_session_user_from_http
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.security.websockets import (
    AllowedHostsOnlyOriginValidator,
    BaseOriginValidator,
    allowed_hosts_only,
)
from tests.harness import WebSocket

from .helpers import message, run


def connect(*headers: Any) -> Message:
    return message({"path": "/", "headers": list(headers)}, "websocket.connect")


def connect_from(origin: bytes) -> Message:
    return connect([b"host", b"example.com"], [b"origin", origin])


@allowed_hosts_only
def consumer(message: Any, room: str = "") -> str:
    """What it does."""
    return f"let in {room}"


class Asked(BaseOriginValidator):
    """Lets in who it is told to."""

    def validate_origin(self, message: Any, origin: str) -> bool:
        return message["path"] == "/" and origin == "https://a.example"


def test_metadata() -> None:
    """SC-01: the validator has the function's name and docs, and keeps the function."""
    validator: Any = consumer
    assert isinstance(validator, AllowedHostsOnlyOriginValidator)
    assert (validator.__name__, validator.__doc__) == ("consumer", "What it does.")
    assert validator.func(None) == "let in "


def test_a_rule_of_ones_own() -> None:
    """SC-02: validate_origin is asked with message and origin: DenyConnection, or the result comes back."""
    calls: list[Any] = []
    decorated = Asked(lambda message, *args, **kwargs: calls.append((args, kwargs)) or "result")
    assert decorated(connect_from(b"https://a.example"), 1, room="a") == "result"
    with pytest.raises(DenyConnection):
        decorated(connect_from(b"https://b.example"))
    assert calls == [((1,), {"room": "a"})]


def test_async_consumers() -> None:
    """SC-02: what an async consumer gives is given back, to be run on."""

    @Asked
    async def decorated(message: Any) -> str:
        return "async"

    assert run(decorated, connect_from(b"https://a.example")) == "async"
    with pytest.raises(DenyConnection):
        run(decorated, connect_from(b"https://b.example"))


def test_get_header() -> None:
    """SC-03: what follows the name in the first header of that name; empty ones are passed over; KeyError for none."""
    mine = connect([], [b"b", b"1"], [b"a", b"2", b"3"], [b"a", b"4"])
    assert list(Asked(print).get_header(mine, b"a")) == [b"2", b"3"]
    with pytest.raises(KeyError, match="no header b'c'"):
        Asked(print).get_header(mine, b"c")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"headers": None},
        {"headers": []},
        {"headers": [[]]},
        {"headers": [[b"origin"]]},
        {"headers": [[b"origin", "https://a.example"]]},
        {"headers": [[b"origin", "https://ä.example".encode()]]},
        {"headers": [[b"Origin", b"https://a.example"]]},
        {"headers": [["origin", b"https://a.example"]]},
        {"headers": {"origin": b"https://a.example"}},
    ],
)
def test_no_readable_origin(content: dict[str, Any]) -> None:
    """SC-04: no headers, no such header, nothing in it, not ASCII, or another spelling: DenyConnection."""
    with pytest.raises(DenyConnection):
        Asked(print)(message({"path": "/", **content}))


def test_the_first_origin_counts() -> None:
    """SC-04: of several headers the first is taken."""
    origin = Asked(print).get_origin(connect([b"origin", b"https://a.example"], [b"origin", b"https://b.example"]))
    assert origin == "https://a.example"


def test_the_base_has_no_rule() -> None:
    """SC-05, OB-26: the base says what is missing; in 1.x it called NotImplemented."""
    with pytest.raises(NotImplementedError, match="BaseOriginValidator must define validate_origin"):
        BaseOriginValidator(print)(connect_from(b"https://a.example"))


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"http://allowed-domain", ["allowed-domain"]),
        (b"https://Allowed-Domain:8443", ["allowed-domain"]),  # SC-09
        (b"https://joe@allowed-domain", ["allowed-domain"]),
        (b"http://sub.example.com", [".example.com"]),
        (b"http://example.com", [".example.com"]),
        (b"http://anything", ["*"]),
        (b"http://[::1]:8000", ["[::1]"]),
        (b"http://[2001:DB8::1]", ["[2001:db8::1]"]),
    ],
)
def test_allowed(origin: bytes, allowed: list[str]) -> None:
    """SC-06, SC-08, SC-09, OB-26: the host decides, IPv6 too; scheme, port and user do not matter."""
    with override_settings(ALLOWED_HOSTS=allowed):
        assert consumer(connect_from(origin), room="a") == "let in a"


NO_HOST = [b"", b"null", b"allowed-domain", b"file://", b"file:///etc", b"http://", b"http://[", b"http://[::1", b"//["]
OTHERS = [b"http://not-allowed", b"http://allowed-domain.evil", b"http://x.allowed-domain", b"http://[::2]"]


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        *((origin, allowed) for origin in [*NO_HOST, *OTHERS] for allowed in (["allowed-domain", "[::1]"], [])),
        *((origin, ["*"]) for origin in NO_HOST),
    ],
)
def test_not_allowed(origin: bytes, allowed: list[str]) -> None:
    """SC-06: another host, and what names no host at all, with ``*`` too."""
    with override_settings(ALLOWED_HOSTS=allowed), pytest.raises(DenyConnection):
        consumer(connect_from(origin))


HERE = [b"http://localhost:8000", b"http://127.0.0.1", b"http://[::1]", b"http://app.localhost"]


@pytest.mark.parametrize(
    ("hosts", "allowed", "refused"),
    [([], HERE, b"http://example.com"), (["example.com"], [b"http://example.com"], HERE[0])],
)
def test_in_development(hosts: list[str], allowed: list[bytes], refused: bytes) -> None:
    """SC-07, SC-10: with DEBUG and no ALLOWED_HOSTS, this machine; the settings are read for each call."""
    with override_settings(DEBUG=True, ALLOWED_HOSTS=hosts):
        for origin in allowed:
            assert consumer(connect_from(origin)) == "let in "
        with pytest.raises(DenyConnection):
            consumer(connect_from(refused))


@pytest.mark.parametrize("order", ["outside", "inside"])
async def test_served(layer: ChannelLayerWrapper, order: str) -> None:
    """SC-02: around an async consumer and with other decorators, on a socket; refused is a refused handshake."""

    async def let_in(message: Any) -> None:
        message.reply_channel.send({"accept": True, "text": str(message.user)})

    if order == "outside":
        decorated = Asked(channel_session_user_from_http(let_in))
    else:
        decorated = channel_session_user_from_http(Asked(let_in))
    with override_settings(ROUTECHAN={"ALLOWED_ORIGINS": ["*"]}):
        layer.router = Router([route("websocket.connect", decorated)])
        application = build_application(layer)
        async with WebSocket(application, headers=[(b"origin", b"https://a.example")]) as socket:
            await socket.accepted()
            assert await socket.text() == "AnonymousUser"
        async with WebSocket(application, headers=[(b"origin", b"https://b.example")]) as socket:
            assert (await socket.event())["type"] == "websocket.close"
