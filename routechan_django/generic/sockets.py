"""``WebsocketConsumer``, and ``JsonWebsocketConsumer`` for JSON text."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from routechan.channel import Channel, Group
from routechan.encoding import Content
from routechan.inspection import Kind, kind_of
from routechan.message import Message

from ..auth import channel_and_http_session_user_from_http, channel_session_user_from_http
from ..sessions import enforce_ordering
from ..sessions.ordering import refuse_slight_ordering
from .base import BaseConsumer, Handler, as_kind, channel_of, overridable

__sends_for_others__ = True

#: Raw method -> the method it calls, which subclasses define.
CALLED_BY_RAW = {"raw_connect": "connect", "raw_receive": "receive", "raw_disconnect": "disconnect"}

ASYNC_KINDS = (Kind.ASYNC, Kind.ASYNC_STREAM)


class WebsocketConsumer(BaseConsumer):
    """A consumer of a socket's events: ``connect``, ``receive``, ``disconnect``. Lifetime of an instance: message.

    Each of the three may be a ``def``, an ``async def`` or a generator, whatever the others are.
    """

    method_mapping: ClassVar[dict[str, str]] = {
        "websocket.connect": "raw_connect",
        "websocket.receive": "raw_receive",
        "websocket.disconnect": "raw_disconnect",
    }

    #: Whether the user comes from the HTTP session of the handshake; whether that session is kept too (GN-09).
    http_user: bool = False
    http_user_and_session: bool = False

    #: Whether the socket's events run in the order of their ``order`` (GN-11).
    strict_ordering: bool = False

    #: The groups that the socket is in while it is connected (GN-12).
    groups: Sequence[str] | None = None

    def get_handler(self, message: Message, **kwargs: Any) -> Handler:
        """The method for ``message``, decorated from the inside out (GN-08).

        The innermost decorator gives session and user, the next those of the handshake, the outermost the ordering.

        Args:
            message: The message.
            **kwargs: The named groups of its route.

        Raises:
            ValueError: The class sets ``slight_ordering``.
        """
        refuse_slight_ordering(type(self))
        if self.http_user or self.http_user_and_session:
            self.channel_session_user = True
        self.path = message["path"]
        handler = super().get_handler(message, **kwargs)
        if self.http_user_and_session:
            handler = channel_and_http_session_user_from_http(handler)
        elif self.http_user:
            handler = channel_session_user_from_http(handler)
        return enforce_ordering(handler) if self.strict_ordering else handler

    @overridable
    def connection_groups(self, **kwargs: Any) -> Sequence[str]:
        """The groups of a connection, a list of names (GN-12).

        Args:
            **kwargs: The named groups of its route.
        """
        return self.groups or []

    # The three events

    def raw_connect(self, message: Message, **kwargs: Any) -> Any:
        """Join the groups, then call ``connect``; the groups stay joined if that denies the connection (GN-13).

        Args:
            message: The ``websocket.connect`` message.
            **kwargs: The named groups of its route.

        Returns:
            What ``connect`` returns.
        """
        return self._with_groups("add", "connect", message, kwargs)

    def raw_receive(self, message: Message, **kwargs: Any) -> Any:
        """Call ``receive`` with the frame as ``text`` or as ``bytes`` (GN-15).

        Args:
            message: The ``websocket.receive`` message.
            **kwargs: The named groups of its route.

        Returns:
            What ``receive`` returns.
        """
        if "text" in message:
            return self.receive(text=message["text"], **kwargs)
        return self.receive(bytes=message["bytes"], **kwargs)

    def raw_disconnect(self, message: Message, **kwargs: Any) -> Any:
        """Leave the groups, then call ``disconnect`` (GN-19).

        Args:
            message: The ``websocket.disconnect`` message.
            **kwargs: The named groups of its route.

        Returns:
            What ``disconnect`` returns.
        """
        return self._with_groups("discard", "disconnect", message, kwargs)

    def _with_groups(self, operation: str, event: str, message: Message, kwargs: dict[str, Any]) -> Any:
        """``add`` to or ``discard`` from the connection's groups, then call the method ``event`` as its kind needs."""
        groups = self._connection_groups(kwargs)
        kind = self._kind(event)
        handler = getattr(self, event)
        if groups and kind in ASYNC_KINDS:
            before = functools.partial(_aapply, operation, groups, message.reply_channel)
            return as_kind(kind, handler, before)(message, **kwargs)
        for group in groups:
            getattr(group, operation)(message.reply_channel)
        return handler(message, **kwargs)

    @overridable
    def connect(self, message: Message, **kwargs: Any) -> Any:
        """Accept the socket; an override has to accept, send or close itself (GN-14).

        Args:
            message: The ``websocket.connect`` message.
            **kwargs: The named groups of its route.

        Returns:
            None; of an override, what its kind of function returns.
        """
        self._reply({"accept": True})

    @overridable
    def receive(self, text: str | None = None, bytes: bytes | None = None, **kwargs: Any) -> Any:
        """Handle a frame; to be overridden.

        The message is ``self.message``.

        Args:
            text: The frame, if it is text.
            bytes: The frame, if it is binary.
            **kwargs: The named groups of the route.

        Returns:
            None; of an override, what its kind of function returns.
        """

    @overridable
    def disconnect(self, message: Message, **kwargs: Any) -> Any:
        """Handle that the socket is closed; to be overridden.

        Args:
            message: The ``websocket.disconnect`` message.
            **kwargs: The named groups of its route.

        Returns:
            None; of an override, what its kind of function returns.
        """

    # Sending

    def send(self, text: str | None = None, bytes: bytes | None = None, close: bool | int = False) -> None:
        """Send a frame to the socket (GN-16).

        Args:
            text: The text of a text frame.
            bytes: The content of a binary frame, used if ``text`` is None.
            close: True or a close code: close the socket behind the frame.

        Raises:
            ValueError: Both ``text`` and ``bytes`` are None.
        """
        self._reply(_frame(text, bytes, close))

    def answer(self, text: str | None = None, bytes: bytes | None = None) -> None:
        """Answer the question that the client asks with this message.

        Args:
            text: The answer, if it is text.
            bytes: The answer, if it is binary; used if ``text`` is None.

        Raises:
            ValueError: Both ``text`` and ``bytes`` are None.
            NoQuestion: The client does not ask, or has its answer.
        """
        self.message.answer(_frame(text, bytes, False))

    @classmethod
    def group_send(
        cls, name: str, text: str | None = None, bytes: bytes | None = None, close: bool | int = False
    ) -> None:
        """Send a frame to a group of the default layer (GN-17).

        Args:
            name: The name of the group.
            text: The text of a text frame.
            bytes: The content of a binary frame, used if ``text`` is None.
            close: True or a close code: close the sockets behind the frame.

        Raises:
            ValueError: Both ``text`` and ``bytes`` are None.
        """
        Group(name).send(_frame(text, bytes, close))

    def close(self, status: bool | int = True) -> None:
        """Close the socket; ``status`` is True or a close code (GN-18)."""
        self._reply({"close": status})

    def _reply(self, content: Content) -> None:
        self.message.reply_channel.send(content)

    # Kinds of methods

    @classmethod
    def kind_on(cls, channel: str) -> Kind:
        """The kind of the method for ``channel``: of the one a plain raw method calls, else of the raw method."""
        kind = super().kind_on(channel)
        name = CALLED_BY_RAW.get(cls.method_mapping.get(channel, ""))
        return kind_of(getattr(cls, name)) if kind is Kind.PLAIN and name is not None else kind

    def _find_handler(self, message: Message) -> Handler:
        """The raw method, as a function of the kind of the method it calls."""
        handler = super()._find_handler(message)
        name = CALLED_BY_RAW.get(self.method_mapping[channel_of(message)])
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
        """Call ``receive`` with the decoded frame (GN-21).

        Args:
            message: The ``websocket.receive`` message.
            **kwargs: The named groups of its route.

        Returns:
            What ``receive`` returns.

        Raises:
            ValueError: The frame is binary or is no JSON.
        """
        if "text" not in message:
            raise ValueError(
                f"{type(self).__name__} takes JSON in text frames, but this message has no text; it has "
                f"{sorted(message.keys())}"
            )
        return self.receive(self.decode_json(message["text"]), **kwargs)

    @overridable
    def receive(self, content: Any, **kwargs: Any) -> Any:
        """Handle a frame; to be overridden.

        The message is ``self.message``.

        Args:
            content: The decoded frame.
            **kwargs: The named groups of the route.

        Returns:
            None; of an override, what its kind of function returns.
        """

    def send(self, content: Any, close: bool | int = False) -> None:  # type: ignore[override]
        """Send a JSON frame to the socket.

        Args:
            content: What ``encode_json`` takes.
            close: True or a close code: close the socket behind the frame.
        """
        super().send(text=self.encode_json(content), close=close)

    def answer(self, content: Any) -> None:  # type: ignore[override]
        """Answer the question that the client asks with this message; ``content`` is what ``encode_json`` takes."""
        super().answer(text=self.encode_json(content))

    @classmethod
    def group_send(cls, name: str, content: Any, close: bool | int = False) -> None:  # type: ignore[override]
        """Send a JSON frame to a group of the default layer.

        Args:
            name: The name of the group.
            content: What ``encode_json`` takes.
            close: True or a close code: close the sockets behind the frame.
        """
        super().group_send(name, text=cls.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text: str) -> Any:
        """The content of the frame ``text``; override it for another decoder (GN-23)."""
        return json.loads(text)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """The text of a frame with ``content``; override it for types that plain JSON lacks, such as dates."""
        return json.dumps(content)


def _frame(text: str | None, data: bytes | None, close: bool | int) -> Content:
    if text is None and data is None:
        raise ValueError("a frame has text or bytes, and both are None; to close the socket alone, call close()")
    frame: Content = {"bytes": data} if text is None else {"text": text}
    if close:
        frame["close"] = close
    return frame


async def _aapply(operation: str, groups: list[Group], channel: Channel) -> None:
    for group in groups:
        await getattr(group, f"a{operation}")(channel)
