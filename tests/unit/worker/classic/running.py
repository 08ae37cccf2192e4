"""Workers of 1.x that end after some rounds, or with a test."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from routechan import Message, route
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router
from routechan.worker import Worker

from ...helpers import DEADLINE


class Rounds(Worker):
    """As the tests of 1.x made them: ``termed`` counts rounds down."""

    def get_termed(self) -> bool:
        if not self._rounds:
            return True
        self._rounds -= 1
        return False

    def set_termed(self, value: int) -> None:
        self._rounds = value

    termed = property(get_termed, set_termed)


def layer_with(routing: Any, **options: Any) -> Any:
    layer = InMemoryChannelLayer(**options).sync
    layer.router = Router(routing)
    return layer


def holding(consumer: Callable[..., Any], *contents: dict[str, Any], filters: Any = None, **options: Any) -> Any:
    """A layer whose channel ``a`` has this consumer, and messages that wait."""
    layer = layer_with([route("a", consumer, **filters or {})], **options)
    for content in contents:
        layer.send("a", content)
    return layer


def sends_to(layer: Any) -> list[str]:
    """The channels that ``layer`` sends to from now on."""
    channels: list[str] = []
    send = layer.send
    layer.send = lambda channel, content: (channels.append(channel), send(channel, content))[1]
    return channels


def work(layer: Any, rounds: int, **options: Any) -> Rounds:
    worker = Rounds(layer, signal_handlers=False, **options)
    worker.termed = rounds
    worker.run()
    return worker


class Running:
    """A worker on a thread, ended with the ``with`` block."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.thread = threading.Thread(target=worker.run)

    def __enter__(self) -> Worker:
        self.thread.start()
        return self.worker

    def __exit__(self, *exc_info: object) -> None:
        self.worker.stop()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()


def ignore(message: Message) -> None: ...


def raising(error: BaseException, times: int = 1000) -> Callable[..., Any]:
    left = [error] * times

    def raise_it(*args: Any) -> None:
        if left:
            raise left.pop()

    return raise_it
