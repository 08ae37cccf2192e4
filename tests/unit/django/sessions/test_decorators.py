"""What all decorators of consumers have in common."""

from __future__ import annotations

import re
from typing import Any

import pytest

from routechan import Message
from routechan.inspection import Kind, kind_of
from routechan_django.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from routechan_django.sessions import channel_and_http_session, channel_session, enforce_ordering, http_session
from tests.unit.django.helpers import consumer_of, message, returned, run, run_decorated

DECORATORS = [
    channel_session,
    http_session,
    channel_and_http_session,
    enforce_ordering,
    enforce_ordering(),
    channel_session_user,
    http_session_user,
    channel_session_user_from_http,
    channel_and_http_session_user_from_http,
]


def name_of(decorator: Any) -> str:
    return str(decorator.__name__)


@pytest.fixture(params=DECORATORS, ids=name_of)
def decorator(request: pytest.FixtureRequest) -> Any:
    """Each decorator; that of ordering bare and called."""
    return request.param


@pytest.fixture(params=[1, 2], ids=["once", "twice"])
def decorate(request: pytest.FixtureRequest, decorator: Any) -> Any:
    """Each decorator, applied once and twice."""
    return decorator if request.param == 1 else lambda func: decorator(decorator(func))


def event(**more: Any) -> Message:
    """The first event of a connection, which any of them takes."""
    return message({"path": "/", "headers": [], "order": 0, **more}, "websocket.connect")


def room(message: Any, room: str = "") -> dict[str, Any]:
    return {"text": room}


def test_name_docs_and_kind_are_kept(decorate: Any, kind: Kind) -> None:
    """SE-06, SE-15: the wrapper has the name and the docs of the function, and is of its kind."""
    consumer = consumer_of(kind, print)
    consumer.__doc__ = "What it does."
    wrapper = decorate(consumer)
    assert (wrapper.__name__, wrapper.__doc__) == (consumer.__name__, "What it does.")
    assert kind_of(wrapper) is kind


def test_arguments_and_result(decorate: Any, kind: Kind) -> None:
    """SE-09, AU-08, AU-09: arguments reach the function, and what it returns or yields comes back."""
    assert run_decorated(decorate, kind, room, event(), room="a") == returned(kind, {"text": "a"})


def test_methods(decorator: Any, kind: Kind) -> None:
    """SE-06, SE-16, SE-27: the message may come second, after self; a bound method can be decorated too."""
    inner = consumer_of(kind, room)

    class Consumer:
        if kind is Kind.PLAIN:

            def receive(self, message: Any, **kwargs: Any) -> Any:
                return inner(message, **kwargs)

        elif kind is Kind.ASYNC:

            async def receive(self, message: Any, **kwargs: Any) -> Any:
                return await inner(message, **kwargs)

        elif kind is Kind.STREAM:

            def receive(self, message: Any, **kwargs: Any) -> Any:
                yield from inner(message, **kwargs)

        else:

            async def receive(self, message: Any, **kwargs: Any) -> Any:
                async for item in inner(message, **kwargs):
                    yield item

        decorated = decorator(receive)

    for method in (Consumer().decorated, decorator(Consumer().receive)):
        assert run(method, event(), room="a") == returned(kind, {"text": "a"})


def test_no_message_among_the_first_two(decorate: Any, kind: Kind) -> None:
    """SE-06, SE-16, SE-27: as third argument or by keyword the message is not found; the error names the decorator."""
    consumer = decorate(consumer_of(kind, print))
    text = r"^(channel_|http_|channel_and_http_|enforce_)\w+ called without Message instance$"
    for content in ({}, {"reply_channel": None}):
        for args, kwargs in ((("a", "b", event(**content)), {}), ((), {"message": event(**content)})):
            with pytest.raises(ValueError, match=text):
                run(consumer, *args, **kwargs)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("user", "decorate the consumer with channel_session_user of routechan_django.auth, that of websocket.connect"),
        ("channel_session", "decorate the consumer with channel_session of routechan_django.sessions, or"),
        ("http_session", "decorate the consumer with http_session of routechan_django.sessions, which is for"),
        ("session", "there are channel_session and http_session, where decorators of"),
    ],
)
def test_without_the_decorator(name: str, advice: str, kind: Kind) -> None:
    """AU-02, SE-09: the error names the decorator to add, and the line of a consumer of any kind."""
    text = rf"a message on 'websocket.receive' has no attribute '{name}' \({re.escape(__file__)}:\d+\): {advice}"
    with pytest.raises(AttributeError, match=text):
        run(consumer_of(kind, lambda message: getattr(message, name)), message())
