"""Messages of some channels as they come, for somebody who takes many of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..crossing import Crossing
from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable
from .base import Take
from .store import Store
from .waiting import Stored, Subscriber


def _nothing(what: object) -> None:
    """For a layer that has all its messages here."""


class StoreSubscription(Subscriber):
    """The ``Subscription`` of a layer with a ``Store``. Lifetime: until ``end``, on one event loop.

    ``decode`` gives None for what cannot be read, ``demand(queues)`` sees to it that their next messages are fetched,
    ``given_up(subscription)`` is told of the end.
    """

    __slots__ = ("_crossing", "_decode", "_demand", "_ended", "_given_up", "_store", "_take")

    def __init__(
        self,
        store: Store,
        queues: Sequence[str],
        take: Take,
        room: int,
        *,
        decode: Callable[[Stored], Content | None],
        demand: Callable[[Sequence[str]], object] = _nothing,
        given_up: Callable[[StoreSubscription], object] = _nothing,
    ) -> None:
        super().__init__(tuple(dict.fromkeys(queues)), room)
        self._store = store
        self._take = take
        self._decode = decode
        self._demand = demand
        self._given_up = given_up
        self._crossing = Crossing(asyncio.get_running_loop(), self._arrived)
        self._ended = False
        self._ask()

    def free(self) -> None:
        if self._store.widen(self) and not self._ended:
            with suppress(ChannelLayerUnavailable):  # it was closed, and has no messages any more
                self._ask()

    def end(self) -> None:
        self._ended = True
        self._store.leave(self, put_back=True)
        self._given_up(self)

    def held(self) -> Sequence[Stored]:
        """What was given, and has not reached ``take``. From any thread."""
        return self._crossing.waiting()

    def give(self, item: Stored) -> bool:
        self._crossing.put(item)
        self.room -= 1
        return self.room > 0

    def give_back(self) -> list[Stored]:
        return self._crossing.clear()

    def _ask(self) -> None:
        if self._store.subscribe(self):
            self._demand(self.queues)

    def _arrived(self, item: Stored) -> None:
        content = self._decode(item)
        if content is None:
            self.free()
        else:
            self._take(item.channel, content)
