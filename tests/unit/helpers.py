"""What the tests of the core share: layers, messages, consumers of every kind, and running one as a process does."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from routechan import ChannelFull, Message
from routechan.concurrency import maybe_await
from routechan.consumers.dispatch import Dispatcher, Invocation
from routechan.outbox import flush, flush_sync
from routechan.routing import Router, route

DEADLINE = 20.0

#: The kinds of consumers, for ``of_kind``.
KINDS = ["plain", "async", "stream", "async stream"]


#: ``CancelledError`` raised by what a task awaits, which is not being cancelled itself.
CANCELLED = pytest.param(
    asyncio.CancelledError,
    marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it is being cancelled"),
)


class ForeignLayer:
    """A layer of somebody else: the methods of 1.x, no async face, and its own ``ChannelFull``."""

    class ChannelFull(Exception):
        """Not ours."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def send(self, channel: str, content: dict[str, Any]) -> None:
        self.calls.append(("send", channel, content))

    def send_group(self, group: str, content: dict[str, Any]) -> None:
        self.calls.append(("send_group", group, content))

    def group_add(self, group: str, channel: Any) -> None:
        self.calls.append(("group_add", group, channel))

    def group_discard(self, group: str, channel: Any) -> None:
        self.calls.append(("group_discard", group, channel))

    def group_channels(self, group: str) -> tuple[str, ...]:
        return ("a", "b")


class FullLayer(ForeignLayer):
    """Refuses the first ``times`` sends to each channel as full."""

    def __init__(self, times: int, error: type[Exception] = ChannelFull) -> None:
        super().__init__()
        self.times = times
        self.error = error
        self.refused: dict[str, int] = {}

    def send(self, channel: str, content: dict[str, Any]) -> None:
        if self.refused.setdefault(channel, 0) < self.times:
            self.refused[channel] += 1
            raise self.error(channel)
        super().send(channel, content)


class Clock:
    """Stands in for the ``time`` module: sleeping passes at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class CustomRoute:
    """A route object of the user's own making."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.asked: list[Message] = []

    def match(self, message: Message) -> Any:
        self.asked.append(message)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def channel_names(self) -> set[str]:
        return {"custom"}


def a_consumer(message: Message, **kwargs: Any) -> None:
    """A consumer that dotted paths can name."""


def another_consumer(message: Message, **kwargs: Any) -> None:
    """Another one."""


#: A routing that dotted paths can name.
a_routing = [route("websocket.connect", a_consumer), route("websocket.receive", another_consumer)]
a_dict_routing = {"websocket.connect": a_consumer}
no_routing = 42


def of_kind(kind: str, body: Callable[..., Any]) -> Callable[..., Any]:
    """A consumer that does what ``body`` does: a plain function, or a generator function of the consumer's replies.

    ``kind`` is one of ``KINDS``. After ``decorated`` it is behind a decorator written for plain functions, which
    returns what the consumer gave it.
    """

    def steps(message: Message, kwargs: dict[str, Any]) -> Iterator[Any]:
        yield from body(message, **kwargs) or ()

    def plain(message: Message, **kwargs: Any) -> None:
        for content in steps(message, kwargs):
            message.reply_channel.send(content)

    async def an_async(message: Message, **kwargs: Any) -> None:
        await asyncio.sleep(0)
        plain(message, **kwargs)

    def stream(message: Message, **kwargs: Any) -> Iterator[Any]:
        yield from steps(message, kwargs)

    async def async_stream(message: Message, **kwargs: Any) -> Any:
        with closing(steps(message, kwargs)) as found:
            for content in found:
                yield content
                await asyncio.sleep(0)

    found = dict(zip(KINDS, (plain, an_async, stream, async_stream), strict=True))[kind.removeprefix("decorated ")]
    found.__module__, found.__name__ = body.__module__, body.__name__
    return (lambda message, **kwargs: found(message, **kwargs)) if kind.startswith("decorated") else found


def message(content: dict[str, Any] | None = None, channel: str = "test", layer: Any = None) -> Message:
    return Message({} if content is None else content, channel, layer)


def match(routing: Any, content: dict[str, Any], channel: str = "websocket.receive") -> Any:
    """What ``routing`` has for a message: the pair of consumer and keyword arguments, or None."""
    return Router(routing).match(message(content, channel))


def matched(
    consumer: Callable[..., Any],
    content: dict[str, Any] | None = None,
    channel: str = "test",
    layer: Any = None,
    **hooks: Any,
) -> tuple[Dispatcher, Invocation]:
    """A dispatcher with this one consumer, and the invocation of it on a message."""
    dispatcher = Dispatcher(Router([route(channel, consumer)]), **hooks)
    invocation = dispatcher.match(message(content, channel, layer))
    assert invocation is not None
    return dispatcher, invocation


def run_here(consumer: Callable[..., Any], *args: Any, **kwargs: Any) -> Invocation:
    """Run a consumer of any kind to its end, as the worker of 1.x does. Arguments: those of ``matched``."""
    dispatcher, invocation = matched(consumer, *args, **kwargs)

    async def aemit() -> bool:
        return True

    dispatcher.run(invocation, run_async=asyncio.run, emit=lambda: True, aemit=aemit)
    flush_sync(invocation)
    return invocation


async def run_on_loop(consumer: Callable[..., Any], *args: Any, **kwargs: Any) -> Invocation:
    """Run an async consumer and flush on this event loop. Arguments: those of ``matched``."""
    dispatcher, invocation = matched(consumer, *args, **kwargs)
    await maybe_await(dispatcher.acall(invocation))
    await maybe_await(flush(invocation))
    return invocation


def drain(layer: Any, *channels: str) -> list[dict[str, Any]]:
    """The contents of all waiting messages of the channels."""
    contents = []
    while True:
        channel, content = layer.receive(list(channels))
        if channel is None:
            return contents
        contents.append(content)
