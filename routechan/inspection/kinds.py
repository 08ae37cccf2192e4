"""How a consumer is run: on a thread, on the event loop, as a stream."""

from __future__ import annotations

import functools
import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

if TYPE_CHECKING:
    from ..message import Message


class Consumer(Protocol):
    """What ``route`` takes: a function of a message and of the named groups of its route, of any kind.

    A generator yields dicts, which go to the reply channel; what others return is not looked at.
    """

    def __call__(self, message: Message, /, *args: Any, **kwargs: Any) -> Any:
        """Handle ``message``.

        Args:
            message: The message.
            *args: None; there for functions of every signature.
            **kwargs: The named groups of its route.

        Returns:
            None, a coroutine, or a generator, by its kind.
        """


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
    """The kind of ``consumer``, decided once for each."""
    try:
        return _known[ref(consumer)]
    except KeyError:
        kind = _known[ref(consumer, _forget)] = _kind(consumer)
        return kind
    except TypeError:  # a callable that cannot be hashed, or referred to weakly
        return _kind(consumer)


def kind_of_unfinished(result: object) -> Kind | None:
    """The kind of what a plain callable returned unfinished, or None where ``result`` is no coroutine or generator.

    A decorator written for plain functions returns what an ``async def`` or a generator gave it.
    """
    if inspect.iscoroutine(result):
        return Kind.ASYNC
    if inspect.isgenerator(result):
        return Kind.STREAM
    return Kind.ASYNC_STREAM if inspect.isasyncgen(result) else None


def _kind(consumer: Consumer) -> Kind:
    function: Any = consumer
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


#: Weak keys, because decorators ask about functions that live for one message. A ``WeakKeyDictionary`` does the
#: same, slower.
_known: dict[ref[Consumer], Kind] = {}
