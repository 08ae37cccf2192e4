"""All exceptions: the errors this library raises, and what a consumer may raise on purpose.

::

    RoutechanError
    ├── InvalidName (TypeError)               a channel or group name that the grammar refuses
    ├── InvalidContent (TypeError, ValueError)  content that is no dict, or that cannot be encoded
    │   └── UselessContent                    a message that asks a socket for nothing
    ├── InvalidChannelLayerError (ValueError) a layer that cannot be built from its configuration
    ├── UnknownChannelLayer (KeyError)        no layer under this alias
    ├── RoutingError (ValueError)             a mistake in a routing list
    ├── WouldBlock (RuntimeError)             a blocking call on the event loop
    ├── ChannelFull                           a channel has reached its capacity
    ├── MessageTooLarge                       content larger than the layer carries
    ├── TooManyGroups                         a socket in as many groups as it may be
    ├── NoHistory (LookupError)           a group that keeps no history
    ├── NoQuestion (LookupError)              an answer to a message that asks for none, or has one
    ├── NotAnswered                           a client was asked, and there is no answer
    │   ├── AnswerTimeout (TimeoutError)      it has not answered in time
    │   ├── SocketLost (ConnectionError)      its socket is gone
    │   ├── AnswerRefused                     it says that it does not answer
    │   ├── CannotAsk                         it does not speak ``routechan.v1``
    │   └── TooManyQuestions                  it has as many questions open as it may have
    ├── ChannelLayerUnavailable (ConnectionError)  the server of a layer did not answer
    ├── MissingExtra (ImportError)            an optional library that is not installed
    └── raised by consumers
        ├── ConsumeLater                      put this message back, try again
        ├── DenyConnection                    refuse the handshake
        ├── ChannelSocketException            an exception with an action
        │   └── WebsocketCloseException       close the socket
        ├── ResponseLater, RequestTimeout, RequestAborted   HTTP, see ``routechan_django.handler``
        └── SendNotAvailableOnDemultiplexer   ``send`` where a multiplexer is needed
"""

from __future__ import annotations

from typing import Any

__sends_for_others__ = True

try:
    # Where Channels is installed, code that catches its classes must catch ours too (R11).
    from channels.exceptions import ChannelFull as _ChannelFull  # noqa: TID251
    from channels.exceptions import MessageTooLarge as _MessageTooLarge  # noqa: TID251
except ImportError:
    _ChannelFull = _MessageTooLarge = Exception


class RoutechanError(Exception):
    """The base class of all exceptions of this library."""


class InvalidName(RoutechanError, TypeError):
    """A channel or group name is not valid (a ``TypeError``, as in 1.x)."""


class InvalidContent(RoutechanError, TypeError, ValueError):
    """Message content is no dict, or holds a value that cannot be encoded.

    It is both a ``TypeError`` and a ``ValueError``, because for the same mistake 1.x raised the first from
    ``Channel.send`` and the second from ``Group.send`` (CH-05, GR-04).
    """


class UselessContent(InvalidContent):
    """A message to a WebSocket that asks it for nothing, as ``{}``.

    ``Channel`` and ``Group`` do not raise it: they log it, once in a while for each place.
    """


class InvalidChannelLayerError(RoutechanError, ValueError):
    """A channel layer cannot be built from its configuration."""


class UnknownChannelLayer(RoutechanError, KeyError):
    """No layer is configured under this alias (a ``KeyError`` of the alias, CH-03).

    Args:
        alias: The alias that was asked for.
        advice: What to do, for the text.
    """

    def __init__(self, alias: str, advice: str) -> None:
        super().__init__(alias)
        self.alias = alias
        self.advice = advice

    def __str__(self) -> str:
        return f"no channel layer {self.alias!r}: {self.advice}"


class RoutingError(RoutechanError, ValueError):
    """A mistake in a routing list; the text names the entry and what to write."""


class WouldBlock(RoutechanError, RuntimeError):
    """A blocking operation was called on the event loop; the text names its async twin."""


class ChannelFull(RoutechanError, _ChannelFull):  # type: ignore[misc]
    """A channel already holds as many messages as its capacity allows.

    Args:
        channel: The channel's name, if it is known.
        capacity: Its capacity, if it is known.
        channel_bytes: The option of that name, where the message is too large for what waits already.
    """

    def __init__(self, channel: str = "", capacity: int | None = None, channel_bytes: int | None = None) -> None:
        super().__init__(channel)
        self.channel = channel
        self.capacity = capacity
        self.channel_bytes = channel_bytes

    def __str__(self) -> str:
        if not self.channel:
            return "the channel is full"
        if self.channel_bytes is not None:
            return (
                f"channel {self.channel!r} is full for a message of this size: what waits there would be more than "
                f"{self.channel_bytes} bytes; consume faster, send where it is stored, or raise the option "
                "channel_bytes of the layer"
            )
        held = "" if self.capacity is None else f": it holds its {self.capacity} messages"
        return f"channel {self.channel!r} is full{held}; consume faster or raise its capacity"


class MessageTooLarge(RoutechanError, _MessageTooLarge):  # type: ignore[misc]
    """The content is larger than the layer carries."""


class TooManyGroups(RoutechanError):
    """A channel of a process, such as a socket's, is a member of as many groups as one may be.

    Args:
        channel: The channel's name.
        group: The group that it was to join.
        most: The option ``max_groups`` of its layer.
    """

    def __init__(self, channel: str, group: str, most: int) -> None:
        super().__init__(channel, group, most)
        self.channel = channel
        self.group = group
        self.most = most

    def __str__(self) -> str:
        return (
            f"{self.channel!r} is a member of {self.most} groups, as many as one channel may be, and was to join "
            f"{self.group!r} too; have it leave groups it does not need, or raise the option max_groups of the layer"
        )


class NoHistory(RoutechanError, LookupError):
    """The history of a group was asked for that keeps none.

    Args:
        group: The group's name.
    """

    def __init__(self, group: str) -> None:
        super().__init__(group)
        self.group = group

    def __str__(self) -> str:
        return (
            f"the group {self.group!r} keeps no history; give its layer the option history, with a pattern that "
            'matches the name: {"chat-*": {"size": 100, "seconds": 300}}'
        )


class NoQuestion(RoutechanError, LookupError):
    """A message was to be answered that asks for no answer, or that has been answered."""


class NotAnswered(RoutechanError):
    """The client of a socket was asked, and there is no answer.

    Args:
        channel: The reply channel of the socket.
        why: What has come instead, for the text.
    """

    def __init__(self, channel: str, why: str) -> None:
        super().__init__(channel, why)
        self.channel = channel
        self.why = why

    def __str__(self) -> str:
        return f"the client of {self.channel!r} was asked, and there is no answer: {self.why}"


class AnswerTimeout(NotAnswered, TimeoutError):
    """The client has not answered in time."""


class SocketLost(NotAnswered, ConnectionError):
    """The socket is closed, or was before its client was asked."""


class AnswerRefused(NotAnswered):
    """The client says that it does not answer; ``why`` is its own text, as it came."""


class CannotAsk(NotAnswered):
    """The client does not speak ``routechan.v1``, or has an event stream."""


class TooManyQuestions(NotAnswered):
    """The client has as many questions open as a socket may have."""


class ChannelLayerUnavailable(RoutechanError, ConnectionError):
    """The server of a channel layer did not answer in time; the text says whether the message may have been sent."""


class MissingExtra(RoutechanError, ImportError):
    """An optional dependency is not installed.

    Args:
        what: A sentence that names the feature and the package it needs.
        extra: The extra of this package that installs it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what}; install it with: pip install 'routechan[{extra}]'")
        self.extra = extra


class ConsumeLater(RoutechanError):
    """Raised by a consumer: put this message back and try again (WK-21)."""


class DenyConnection(RoutechanError):
    """Raised by a ``websocket.connect`` consumer: refuse the handshake (WK-16)."""


class ResponseLater(RoutechanError):
    """Raised by a view: other code will answer this request later (EX-02)."""


class RequestTimeout(RoutechanError):
    """The request body was not complete in time (EX-03)."""


class RequestAborted(RoutechanError):
    """The client left before the request body was complete (EX-04)."""


class SendNotAvailableOnDemultiplexer(RoutechanError):
    """``send`` was called on a demultiplexer, which cannot know the stream (EX-08)."""


class ChannelSocketException(RoutechanError):
    """An exception with an action: when a consumer raises it, ``run(message)`` is called."""

    def run(self, message: Any) -> None:
        """Act on the connection of ``message``.

        What it sends is delivered together with what the consumer sent.

        Raises:
            NotImplementedError: The subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define run(message)")


class WebsocketCloseException(ChannelSocketException):
    """Raised anywhere inside a consumer: close the WebSocket.

    Args:
        code: The close code; None for 1000. As in 1.x every int is accepted here (EX-10). A code that is not allowed in
            a close frame is logged and ignored when it reaches the socket.

    Raises:
        TypeError: The code is a str.
        ValueError: The code is something else that is not an int.
    """

    def __init__(self, code: int | None = None) -> None:
        if code is not None and not isinstance(code, int):
            kind = TypeError if isinstance(code, str) else ValueError
            raise kind(f"a close code is an int such as 1000 or 4000, not {code!r}")
        super().__init__(code)
        self.code = code

    def run(self, message: Any) -> None:
        """Close the socket that ``message`` came from.

        Raises:
            ValueError: The message has no reply channel, or that of something else than a WebSocket.
        """
        reply_channel = message.reply_channel
        if reply_channel is None or reply_channel.name.split(".")[0] != "websocket":
            name = None if reply_channel is None else reply_channel.name
            raise ValueError(
                f"WebsocketCloseException closes a WebSocket, but the reply channel is {name!r}; "
                "raise it only in consumers of websocket.* messages"
            )
        reply_channel.send({"close": self.code or True})
