"""What the tests of the core share: layers, messages, one way to run a consumer, and waiting for a condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routechan import ChannelFull, Message
from routechan.delivery import flush_sync
from routechan.dispatch import Dispatcher, Run
from routechan.routing import Router, route

DEADLINE = 5.0


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


def a_consumer(message: Message, **kwargs: Any) -> None:
    """A consumer that dotted paths can name."""


def another_consumer(message: Message, **kwargs: Any) -> None:
    """Another one."""


#: A routing that dotted paths can name.
a_routing = [route("websocket.connect", a_consumer), route("websocket.receive", another_consumer)]
a_dict_routing = {"websocket.connect": a_consumer}
no_routing = 42


def message(content: dict[str, Any] | None = None, channel: str = "test", layer: Any = None) -> Message:
    return Message({} if content is None else content, channel, layer)


def run_here(
    consumer: Callable[..., Any],
    content: dict[str, Any] | None = None,
    channel: str = "test",
    layer: Any = None,
    **hooks: Any,
) -> Run:
    """Run a plain consumer as a worker does: match, call, flush."""
    dispatcher = Dispatcher(Router([route(channel, consumer)]), **hooks)
    run = dispatcher.match(message(content, channel, layer))
    assert run is not None
    dispatcher.call(run)
    flush_sync(run)
    return run


def drain(layer: Any, *channels: str) -> list[dict[str, Any]]:
    """The contents of all waiting messages of the channels."""
    contents = []
    while True:
        channel, content = layer.receive(list(channels))
        if channel is None:
            return contents
        contents.append(content)
