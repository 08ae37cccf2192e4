"""The exceptions: their tree, their texts, and what those that consumers raise do."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from routechan import exceptions
from routechan.exceptions import ChannelSocketException, WebsocketCloseException
from routechan.layers import SyncChannelLayer

from .helpers import drain, message, run_here


@pytest.mark.parametrize(
    "name",
    [
        "ConsumeLater",  # EX-01
        "ResponseLater",  # EX-02
        "RequestTimeout",  # EX-03
        "RequestAborted",  # EX-04
        "DenyConnection",  # EX-05
        "ChannelSocketException",  # EX-06
        "SendNotAvailableOnDemultiplexer",  # EX-08
    ],
)
def test_names_of_1x(name: str) -> None:
    """EX-01, EX-02, EX-03, EX-04, EX-05, EX-06, EX-08: the names are there, as exceptions raised without arguments."""
    kind = getattr(exceptions, name)
    assert issubclass(kind, exceptions.RoutechanError)
    with pytest.raises(kind):
        raise kind


def test_every_exception_is_one_of_ours() -> None:
    """One tree: all that this library raises can be caught with ``RoutechanError``; none is missing in its drawing."""
    found = [
        value
        for value in vars(exceptions).values()
        if isinstance(value, type) and value.__module__ == exceptions.__name__
    ]
    assert len(found) > 10
    for kind in found:
        assert issubclass(kind, exceptions.RoutechanError)
        assert kind.__name__ in (exceptions.__doc__ or "")


def test_base_run_is_not_implemented() -> None:
    """EX-06: ``run`` of the base class raises ``NotImplementedError`` that names the class to complete."""

    class Mine(ChannelSocketException):
        pass

    with pytest.raises(NotImplementedError, match=r"Mine must define run\(message\)"):
        Mine().run(message())


@pytest.mark.parametrize(("code", "sent"), [(None, True), (0, True), (1000, 1000), (4000, 4000)])
def test_close_exception_closes_the_socket(default_layer: SyncChannelLayer, code: int | None, sent: int | bool) -> None:
    """EX-07, EX-09: ``{"close": code}`` goes to the reply channel, True for None and 0."""
    error = WebsocketCloseException(code)
    assert error.code == code
    error.run(message({"reply_channel": "websocket.send.abc!def"}))
    assert drain(default_layer, "websocket.send.abc!") == [{"close": sent}]


def test_close_exception_is_a_socket_exception() -> None:
    """EX-07: its base is ``ChannelSocketException``; the code is optional."""
    assert issubclass(WebsocketCloseException, ChannelSocketException)
    assert WebsocketCloseException().code is None


@pytest.mark.parametrize("content", [{}, {"reply_channel": "http.response!abc"}, {"reply_channel": "websocketish"}])
def test_close_exception_needs_a_websocket(default_layer: SyncChannelLayer, content: dict[str, Any]) -> None:
    """EX-09: the part before the first dot must be ``websocket``, else ``ValueError`` that says where to raise it."""
    with pytest.raises(ValueError, match="the reply channel is .*; raise it only in consumers of websocket"):
        WebsocketCloseException().run(message(content))


def test_close_exception_elsewhere_is_logged(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """EX-09, WK-18, OB-03: raised where no socket is, it ends nothing; it is logged as an error of the consumer."""

    def consumer(message: Any) -> None:
        raise WebsocketCloseException

    run_here(consumer, {"reply_channel": "http.response!abc"}, "http.request")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "WebsocketCloseException closes a WebSocket" in str(record.exc_info[1])


@pytest.mark.parametrize("code", [1, 999, 1005, 2999, 5000, -1, True])
def test_close_code_may_be_any_int(code: int) -> None:
    """EX-10: as in 1.x every int is taken here; the socket refuses what may not travel."""
    assert WebsocketCloseException(code).code == code


@pytest.mark.parametrize(("code", "error"), [(1.5, ValueError), ("1000", TypeError)])
def test_close_code_must_be_an_int(code: Any, error: type[Exception]) -> None:
    """EX-10: a float is a ``ValueError``, text a ``TypeError``."""
    with pytest.raises(error, match=f"a close code is an int such as 1000 or 4000, not {code!r}"):
        WebsocketCloseException(code)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (exceptions.ChannelFull(), "the channel is full"),
        (exceptions.ChannelFull("a"), "channel 'a' is full; consume faster or raise its capacity"),
        (exceptions.ChannelFull("a", 3), "channel 'a' is full: it holds its 3 messages; consume faster or raise its"),
        (exceptions.UnknownChannelLayer("a", "there is only 'b'"), "no channel layer 'a': there is only 'b'"),
        (exceptions.MissingExtra("It needs x", "y"), "It needs x; install it with: pip install 'routechan[y]'"),
    ],
)
def test_what_errors_say(error: Exception, text: str) -> None:
    """CH-03: what is wrong, and what to do."""
    assert str(error).startswith(text)
