"""How a consumer is run: on a thread, on the event loop, or as a stream."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any
from weakref import ref

Consumer = Callable[..., Any]


class Kind(Enum):
    """How a consumer is run."""

    PLAIN = "plain"  # on a thread
    ASYNC = "async"  # on the event loop
    STREAM = "stream"  # a generator: iterated on a thread of its own
    ASYNC_STREAM = "async stream"  # an async generator: iterated by a task of its own

    @property
    def is_async(self) -> bool:
        """Whether it needs no thread."""
        return self in (Kind.ASYNC, Kind.ASYNC_STREAM)


def kind_of(consumer: Consumer) -> Kind:
    """How to run a consumer; decided once for each."""
    try:
        return _known[ref(consumer)]
    except KeyError:
        kind = _known[ref(consumer, _forget)] = _kind(consumer)
        return kind
    except TypeError:  # a callable that cannot be hashed, or referred to weakly
        return _kind(consumer)


def _kind(consumer: Consumer) -> Kind:
    function = consumer
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    if inspect.iscoroutinefunction(function):
        return Kind.ASYNC
    if inspect.isasyncgenfunction(function):
        return Kind.ASYNC_STREAM
    if inspect.isgeneratorfunction(function):
        return Kind.STREAM
    return Kind.PLAIN


def _forget(gone: ref[Consumer]) -> None:
    _known.pop(gone, None)


#: Held weakly, because decorators ask for functions too that live for one message, and hold it. (A
#: ``WeakKeyDictionary`` does the same, in Python, and is asked for each message.)
_known: dict[ref[Consumer], Kind] = {}


def goes_on(result: object) -> bool:
    """A decorator written for plain functions returns what an ``async def`` or a generator gave it."""
    return inspect.iscoroutine(result) or inspect.isgenerator(result) or inspect.isasyncgen(result)


def kind_of_work(work: object) -> Kind:
    """How to go on with that: the kind of the consumer that the decorator was around."""
    if inspect.iscoroutine(work):
        return Kind.ASYNC
    return Kind.ASYNC_STREAM if inspect.isasyncgen(work) else Kind.STREAM
