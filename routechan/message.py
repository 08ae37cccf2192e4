"""``Message``, which a consumer is given."""

from __future__ import annotations

import copy
import sys
from collections.abc import Awaitable, Callable, ItemsView, KeysView, ValuesView
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from .asgi.translation import socket_reply
from .channel import Channel
from .encoding import Content
from .exceptions import NoQuestion
from .inspection import name_that_thing
from .interfaces import ANSWER, QUESTION
from .layers.base import BaseChannelLayer
from .layers.claims import Claims
from .names import is_of_a_socket
from .outbox import open_outbox
from .sending.asking import check_body

__sends_for_others__ = True

Self = TypeVar("Self", bound="Message")
Value = TypeVar("Value")


class _made_once(Generic[Value]):
    """An attribute made on first use, then an ordinary one that may be assigned.

    ``functools.cached_property`` takes a lock before Python 3.12, and this runs for each message.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Value:
        if instance is None:
            raise AttributeError(f"{self._name} is an attribute of messages, not of the class")
        value = self._make(instance)
        instance.__dict__[self._name] = value
        return value

    if TYPE_CHECKING:  # at runtime a ``__set__`` would come before the attribute of the instance

        def __set__(self, instance: Any, value: Value) -> None: ...


class _SocketChannel(Channel):
    """The reply channel of a socket that another process holds. Lifetime: message.

    What no socket can take is refused here, where the line that sent it is known.
    """

    def _send_now(self, content: Content, delay: float, headers: dict[str, Any] | None = None) -> None:
        socket_reply(content)
        super()._send_now(content, delay, headers)

    def _post(
        self, layer: BaseChannelLayer, content: Content, delay: float, headers: dict[str, Any] | None
    ) -> Awaitable[None] | None:
        socket_reply(content)
        return super()._post(layer, content, delay, headers)


def claiming(content: Content, channel_layer: Any, claims: Claims) -> Channel:
    """The reply channel of a message of a socket that came back.

    Args:
        content: That of the message.
        channel_layer: The 1.x face of the layer.
        claims: What the client of the socket says it has.
    """
    channel = _SocketChannel(content["reply_channel"], channel_layer=channel_layer)
    channel.claims = claims
    return channel


class _Given:
    """An attribute that a message has only where something gives it; without it, the error says what to do.

    An attribute of the instance comes before it, so it costs nothing. A ``__getattr__`` would slow down all others.
    """

    def __init__(self, name: str, advice: str, make: Callable[[Any], Any] | None) -> None:
        self._name = name
        self._advice = advice
        self._make = make

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        made = None if self._make is None or instance is None else self._make(instance)
        if made is None:
            self._refuse(instance)
        instance.__dict__[self._name] = made
        return made

    def _refuse(self, instance: Any) -> NoReturn:
        frame = sys._getframe(2)
        consumer = getattr(open_outbox(), "consumer", None)
        advice = self._advice
        if self._name in getattr(instance, "content", ()):
            advice = f"it is a key of the content: write message[{self._name!r}]"
        raise AttributeError(
            f"a message on {getattr(instance, 'channel_name', None)!r} has no attribute {self._name!r}"
            f"{'' if consumer is None else f' in the consumer {name_that_thing(consumer)}'} "
            f"({frame.f_code.co_filename}:{frame.f_lineno}): {advice}",
            name=self._name,
            obj=instance,
        )


class Message:
    """One message and where it came from. Lifetime: message.

    Decorators put further attributes on it.

    Args:
        content: the received dict itself, not a copy (MS-01).
        channel_name: the channel it came on.
        channel_layer: the 1.x face of the layer, or None for the default one (MS-04).
        reply_channel: where answers go; by default the channel that ``content["reply_channel"]`` names.
    """

    #: Whether ``answer`` was called.
    is_answered = False

    def __init__(
        self, content: Content, channel_name: str, channel_layer: Any, reply_channel: Channel | None = None
    ) -> None:
        self.content = content
        self.channel_layer = channel_layer
        self.channel_name = channel_name
        if reply_channel is not None:  # a server has one for each connection
            self.reply_channel = reply_channel
        else:
            # Taken once, so that a later change of the content does not move the replies (MS-03).
            self._reply_name = content.get("reply_channel")

    @_made_once
    def channel(self) -> Channel:
        """The channel the message came on."""
        return Channel(self.channel_name, channel_layer=self.channel_layer)

    @_made_once
    def reply_channel(self) -> Channel:
        """Where answers go; None if the message names no such channel.

        Its type is ``Channel``, because each message of a socket and each request names one. A consumer of a channel of
        one's own that may be sent messages without one asks ``message.get("reply_channel")``.
        """
        name = self._reply_name
        if not name:
            return None  # type: ignore[return-value]
        # The reply channels of test clients take anything.
        kind = _SocketChannel if type(name) is str and is_of_a_socket(name) else Channel
        return kind(name, channel_layer=self.channel_layer)

    def answer(self, content: Content, immediately: bool = False) -> None:
        """Answer the client that asks with this message: it has the key ``question_number``.

        Args:
            content: a dict with ``text`` or ``bytes``.
            immediately: do not wait until the consumer ends, as ``Channel.send``.

        Raises:
            NoQuestion: the client does not ask, or has its answer.
            InvalidContent: ``content`` is no answer.
        """
        self.reply_channel.send(self._answer(content), immediately)

    async def aanswer(self, content: Content, immediately: bool = False) -> None:
        """``answer`` for async code, with ``content`` and ``immediately``."""
        await self.reply_channel.asend(self._answer(content), immediately)

    def _answer(self, content: Content) -> Content:
        number = self.content.get(QUESTION)
        if type(number) is not int or self.reply_channel is None:
            raise NoQuestion(
                f"the message on {self.channel_name!r} asks for no answer: it has no {QUESTION!r}. "
                "Send a reply instead: message.reply_channel.send(...)"
            )
        if self.is_answered:
            raise NoQuestion(f"the question on {self.channel_name!r} has been answered; it gets one answer")
        check_body("an answer", content)
        self.is_answered = True
        return {ANSWER: number, **content}

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.content[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self.content

    def keys(self) -> KeysView[str]:
        """The keys of the content."""
        return self.content.keys()

    def values(self) -> ValuesView[Any]:
        """The values of the content."""
        return self.content.values()

    def items(self) -> ItemsView[str, Any]:
        """The items of the content."""
        return self.content.items()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key`` in the content, or ``default``."""
        return self.content.get(key, default)

    def copy(self: Self) -> Self:
        """A new message with a deep copy of the content; attributes set later are not carried over (MS-07)."""
        return type(self)(copy.deepcopy(self.content), self.channel_name, self.channel_layer)


def advise(**advice: str) -> None:
    """Say what to do where a message lacks an attribute, for a package that puts attributes on messages.

    Args:
        **advice: The attribute, and what to do.
    """
    for name, text in advice.items():
        setattr(Message, name, _Given(name, text, None))


def give(name: str, make: Callable[[Any], Any], advice: str) -> None:
    """Make an attribute of messages when it is first used.

    Args:
        name: The attribute.
        make: Called with the message; it returns the value, or None for a message that is not to have it.
        advice: What to do then, as that of ``advise``.
    """
    setattr(Message, name, _Given(name, advice, make))


advise(
    kwargs="named groups of the route are arguments of the consumer: write def consumer(message, room)",
    scope="what a scope holds is in the content of websocket.connect: message['path'], message['headers']",
    **dict.fromkeys(
        ("text", "bytes", "path", "order", "code", "headers", "query_string", "method", "body", "client", "server"),
        "it would be a key of the content, which has none of that name",
    ),
)
