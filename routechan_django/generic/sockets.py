"""``WebsocketConsumer``, and the same for JSON text."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from routechan.channel import Channel, Group
from routechan.encoding import Content
from routechan.kinds import Kind, kind_of
from routechan.message import Message

from ..auth import channel_and_http_session_user_from_http, channel_session_user_from_http
from ..sessions import enforce_ordering
from .base import BaseConsumer, Handler, as_kind

#: The method of the user's that each raw method hands over to.
HANDED_TO = {"raw_connect": "connect", "raw_receive": "receive", "raw_disconnect": "disconnect"}

ASYNC_KINDS = (Kind.ASYNC, Kind.ASYNC_STREAM)


class WebsocketConsumer(BaseConsumer):
    """One socket's events: ``connect``, ``receive``, ``disconnect``. Lifetime of an instance: message.

    Each of the three may be a ``def``, an ``async def`` or a generator, whatever the others are.
    """

    method_mapping: ClassVar[dict[str, str]] = {
        "websocket.connect": "raw_connect",
        "websocket.receive": "raw_receive",
        "websocket.disconnect": "raw_disconnect",
    }

    #: Take the user, and the session too, from the HTTP session of the handshake (GN-09).
    http_user: bool = False
    http_user_and_session: bool = False

    #: Run the socket's events in the order of their ``order`` (GN-11).
    strict_ordering: bool = False

    #: Groups that the socket is in while it is connected (GN-12).
    groups: Sequence[str] | None = None

    def get_handler(self, message: Message, **kwargs: Any) -> Handler:
        """Innermost to outermost: method, session and user, those of the handshake, ordering (GN-08)."""
        if getattr(self, "slight_ordering", False):
            raise ValueError(
                f"{type(self).__name__} sets slight_ordering, which does not exist any more; set strict_ordering = True"
            )
        if self.http_user or self.http_user_and_session:
            self.channel_session_user = True
        self.path = message["path"]
        handler = super().get_handler(message, **kwargs)
        if self.http_user_and_session:
            handler = channel_and_http_session_user_from_http(handler)
        elif self.http_user:
            handler = channel_session_user_from_http(handler)
        return enforce_ordering(handler) if self.strict_ordering else handler

    def connection_groups(self, **kwargs: Any) -> Sequence[str]:
        """The groups of a connection, given the named groups of its route (GN-12)."""
        return self.groups or []

    # The three events

    def raw_connect(self, message: Any, **kwargs: Any) -> Any:
        """Join the groups, then ``connect``; nothing is undone if that denies (GN-13)."""
        return self._with_groups("add", "connect", message, kwargs)

    def raw_receive(self, message: Message, **kwargs: Any) -> Any:
        """``receive`` with the frame as ``text``, or as ``bytes`` (GN-15)."""
        if "text" in message:
            return self.receive(text=message["text"], **kwargs)
        return self.receive(bytes=message["bytes"], **kwargs)

    def raw_disconnect(self, message: Any, **kwargs: Any) -> Any:
        """Leave the groups, then ``disconnect`` (GN-19)."""
        return self._with_groups("discard", "disconnect", message, kwargs)

    def _with_groups(self, act: str, event: str, message: Any, kwargs: dict[str, Any]) -> Any:
        """``add`` to or ``discard`` from the connection's groups, then handle ``event``, in the way of its kind."""
        groups = self._connection_groups(kwargs)
        kind = self._kind(event)
        handler = getattr(self, event)
        if groups and kind in ASYNC_KINDS:
            return as_kind(kind, handler, functools.partial(_aeach, groups, act, message.reply_channel))(
                message, **kwargs
            )
        for group in groups:
            getattr(group, act)(message.reply_channel)
        return handler(message, **kwargs)

    def connect(self, message: Message, **kwargs: Any) -> Any:
        """Accept the socket; an override has to accept, send or close itself (GN-14)."""
        self._reply({"accept": True})

    def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> Any:
        """Take a frame; the message is ``self.message``."""

    def disconnect(self, message: Message, **kwargs: Any) -> Any:
        """The socket is closed."""

    # Sending

    def send(self, text: str | None = None, bytes: bytes | None = None, close: bool | int = False) -> None:
        """Send a frame to the socket, and close it after that with ``close``, which is True or a code (GN-16)."""
        self._reply(_frame(text, bytes, close))

    @classmethod
    def group_send(
        cls, name: str, text: str | None = None, bytes: bytes | None = None, close: bool | int = False
    ) -> None:
        """``send`` to a group of the default layer (GN-17)."""
        Group(name).send(_frame(text, bytes, close))

    def close(self, status: bool | int = True) -> None:
        """Close the socket; ``status`` is True or a code (GN-18)."""
        self._reply({"close": status})

    def _reply(self, content: Content) -> None:
        reply_channel: Any = self.message.reply_channel  # every message of a socket has one
        reply_channel.send(content)

    # How it is run

    @classmethod
    def kind_on(cls, channel: str) -> Kind:
        kind = super().kind_on(channel)
        name = HANDED_TO.get(cls.method_mapping.get(channel, ""))
        return kind_of(getattr(cls, name)) if kind is Kind.PLAIN and name is not None else kind

    def _find_handler(self, message: Message) -> Handler:
        """The raw method, as a function of the kind of the method that it hands over to."""
        handler = super()._find_handler(message)
        name = HANDED_TO.get(self.method_mapping[message.channel_name])
        if name is None or kind_of(handler) is not Kind.PLAIN:
            return handler
        return as_kind(self._kind(name), handler)

    def _kind(self, name: str) -> Kind:
        return kind_of(getattr(type(self), name))

    def _connection_groups(self, kwargs: dict[str, Any]) -> list[Group]:
        names = self.connection_groups(**kwargs)
        if not isinstance(names, (list, tuple)):
            raise TypeError(
                f"the groups of {type(self).__name__} are a list of names, such as ['news'], not {names!r:.100}"
            )
        return [Group(name, channel_layer=self.message.channel_layer) for name in names]


class JsonWebsocketConsumer(WebsocketConsumer):
    """A ``WebsocketConsumer`` whose frames are JSON text."""

    def raw_receive(self, message: Message, **kwargs: Any) -> Any:
        """``receive`` with the decoded frame; what is no JSON raises the decoder's error (GN-21)."""
        if "text" not in message:
            raise ValueError(
                f"{type(self).__name__} takes JSON in text frames, but this message has no text; it has "
                f"{sorted(message.keys())}"
            )
        return self.receive(self.decode_json(message["text"]), **kwargs)

    def receive(self, content: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Take a decoded frame; the message is ``self.message``."""

    def send(self, content: Any, close: bool | int = False) -> None:  # type: ignore[override]
        """Send ``content`` as JSON, and close the socket after that with ``close``."""
        super().send(text=self.encode_json(content), close=close)

    @classmethod
    def group_send(cls, name: str, content: Any, close: bool | int = False) -> None:  # type: ignore[override]
        """``send`` to a group of the default layer."""
        super().group_send(name, text=cls.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text: str) -> Any:
        """What a frame holds; override it for another decoder (GN-23)."""
        return json.loads(text)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """The text of a frame; override it for dates and other types that plain JSON has not."""
        return json.dumps(content)


def _frame(text: str | None, data: bytes | None, close: bool | int) -> Content:
    if text is None and data is None:
        raise ValueError("a frame has text or bytes, and both are None; to close the socket alone, call close()")
    frame: Content = {"bytes": data} if text is None else {"text": text}
    if close:
        frame["close"] = close
    return frame


async def _aeach(groups: list[Group], act: str, channel: Channel) -> None:
    for group in groups:
        await getattr(group, f"a{act}")(channel)
