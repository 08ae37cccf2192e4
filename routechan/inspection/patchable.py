"""Routing objects whose attributes tests replace."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakSet

#: The ids of routing objects whose ``match`` a test has replaced, as in ``router.root.match = Mock()``.
replaced: set[int] = set()

#: The routers, which look at their routes again when one of these has changed, as in ``route.consumer = Mock()``.
routers: WeakSet[Any] = WeakSet()


class Patchable:
    """The base of objects whose attributes tests replace, and put back. Lifetime: its object's."""

    #: The attributes that decide a match, beside ``match``. They are set once unless somebody replaces them.
    _decisive: ClassVar[tuple[str, ...]] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        changes = name in self._decisive and name in self.__dict__
        super().__setattr__(name, value)
        if changes:
            for router in tuple(routers):
                router.index()
        elif name == "match":
            if value != getattr(type(self), name).__get__(self):
                replaced.add(id(self))
            else:  # put back by a tool that sets what it had read
                delattr(self, name)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name == "match":
            replaced.discard(id(self))
