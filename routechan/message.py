"""``Message``: what a consumer is given."""

from __future__ import annotations

import copy
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from typing import Any, Generic, TypeVar

from .channel import Channel
from .encoding import Content

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


class Message:
    """One message and where it came from. Lifetime: message.

    ``content`` is the received dict itself, not a copy (MS-01). ``channel_layer`` is the 1.x face of the
    layer, or None for the default one (MS-04). Decorators put further attributes on it.
    """

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
    def reply_channel(self) -> Channel | None:
        """Where answers go; None if the message names no such channel."""
        return Channel(self._reply_name, channel_layer=self.channel_layer) if self._reply_name else None

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.content[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self.content

    def keys(self) -> KeysView[str]:
        return self.content.keys()

    def values(self) -> ValuesView[Any]:
        return self.content.values()

    def items(self) -> ItemsView[str, Any]:
        return self.content.items()

    def get(self, key: str, default: Any = None) -> Any:
        return self.content.get(key, default)

    def copy(self: Self) -> Self:
        """A new message with a deep copy of the content; attributes set later are not carried over (MS-07)."""
        return type(self)(copy.deepcopy(self.content), self.channel_name, self.channel_layer)
