"""Consumers behind decorators: what their messages have, and that ``route`` asks for the decorator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from typing_extensions import assert_type

from routechan import Consumer, Message, limit, route
from routechan_django.auth import (
    UserMessage,
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from routechan_django.security.websockets import allowed_hosts_only
from routechan_django.sessions import (
    SessionMessage,
    channel_and_http_session,
    channel_session,
    enforce_ordering,
    http_session,
)


@http_session_user
def plain(message: UserMessage, room: str) -> None:
    user: AbstractBaseUser | AnonymousUser = message.user
    assert_type(message.http_session, SessionBase | None)
    assert_type(message.channel_session, SessionBase)
    message.reply_channel.send({"text": user.get_username() + room})


@channel_session_user
async def coroutine(message: UserMessage, *, room: str = "lobby") -> None:
    await message.reply_channel.asend({"text": message.user.get_username() + room})


@channel_session
def stream(message: SessionMessage) -> Iterator[dict[str, Any]]:
    message.channel_session["seen"] = True
    yield {"text": "seen"}


@channel_and_http_session
async def async_stream(message: SessionMessage, **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
    yield {"text": str(message.http_session)}


@http_session
def needs_nothing(message: Message) -> None: ...


class Page:
    @channel_session_user_from_http
    def connect(self, message: UserMessage, room: str) -> None: ...


@enforce_ordering
@limit("5/s", by="user")
@channel_and_http_session_user_from_http
@limit("5/s")
def stacked(message: UserMessage, room: str) -> None: ...


@channel_session_user
@enforce_ordering
def stacked_the_other_way(message: UserMessage, room: str) -> None: ...


@enforce_ordering()
def ordered(message: SessionMessage) -> None: ...


@allowed_hosts_only
@http_session_user
def checked(message: UserMessage) -> None: ...


def logged(consumer: Consumer) -> Consumer:
    def run(message: Message, *args: Any, **kwargs: Any) -> Any:
        return consumer(message, *args, **kwargs)

    return run


@logged
@http_session_user
def wrapped(message: UserMessage, room: str) -> None: ...


@channel_session  # gives no user
def half_decorated(message: UserMessage) -> None: ...


def undecorated(message: SessionMessage) -> None: ...


channel_routing = [
    route("websocket.connect", plain, path=r"^/(?P<room>\w+)$"),
    route("websocket.receive", coroutine),
    route("websocket.receive", stream),
    route("websocket.receive", async_stream),
    route("websocket.receive", needs_nothing),
    route("websocket.receive", Page().connect),
    route("websocket.receive", stacked),
    route("websocket.receive", stacked_the_other_way),
    route("websocket.receive", ordered),
    route("websocket.receive", checked),
    route("websocket.receive", wrapped),
    route("websocket.receive", half_decorated),  # type: ignore[arg-type]
    route("websocket.receive", undecorated),  # type: ignore[arg-type]
]


def in_a_test(message: Message) -> None:
    """The signature stays, and any message will do."""
    plain(message, "lobby")
    plain(message, room="lobby")
    plain(message)  # type: ignore[call-arg]
    Page().connect(message, "lobby")
    exact: Callable[[Message, str], None] = plain
    del exact
