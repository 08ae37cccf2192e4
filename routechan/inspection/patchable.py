"""Routing objects whose attributes tests replace."""

from __future__ import annotations

from typing import Any, ClassVar
from weakref import WeakSet

#: The ids of routing objects, and of their classes, whose ``match`` a test has replaced, as in
#: ``router.root.match = Mock()``. So it costs one look whether any is, and that is asked for each message.
replaced: set[int] = set()

#: What ``match`` of a class was before a test replaced it.
_originals: dict[type, Any] = {}

#: The routers, which look at their routes again when one of these has changed, as in ``route.consumer = Mock()``.
routers: WeakSet[Any] = WeakSet()


class _Class(type):
    """The class of ``Patchable`` classes, whose ``match`` is replaced for all their objects. Lifetime: process."""

    def __setattr__(cls, name: str, value: Any) -> None:
        if name == "match":
            if value is _originals.setdefault(cls, getattr(cls, name, None)):
                replaced.discard(id(cls))
            else:
                replaced.add(id(cls))
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        super().__delattr__(name)
        if name == "match":
            replaced.discard(id(cls))


class Patchable(metaclass=_Class):
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
