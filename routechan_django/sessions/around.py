"""What a decorator does around a consumer, for consumers of every kind.

A decorator is written once, as a context manager around one call. Plain functions and generators enter and
leave it where they run, on a thread; for ``async def`` it is entered and left on asgiref's thread for database
work, and the function itself stays on the event loop.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async

from routechan import Message
from routechan.kinds import Kind, goes_on, kind_of

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Call:
    """One call of a decorated consumer. Lifetime: message."""

    message: Message
    is_async: bool  # it may touch no database: what it is given has to be read already
    streams: bool  # it runs beside later events of its connection

    def changed(self) -> bool:
        """Whether there is a session to be saved."""
        sessions = (getattr(self.message, name, None) for name in ("channel_session", "http_session"))
        return any(session is not None and session.modified for session in sessions)


#: Around one call: what it gives says whether the consumer is to be run at all.
Body = Callable[[Call], AbstractContextManager[bool]]


def decorate(name: str, func: F, body: Body, *, only_saves: bool = True) -> F:
    """``func`` with ``body`` around each call. ``name`` is the decorator's, for its errors.

    The message is looked for among the first two positional arguments, so that methods are decorated as well
    as functions (SE-06). Where ``body`` ``only_saves`` sessions at its end, an async consumer that changed none is
    spared the way to the thread and back, which costs more than reading a session from a cache.
    """
    kind = kind_of(func)
    # A plain decorator of somebody else's around an async consumer gives back what that one gave it.
    consumer = kind if kind is not Kind.PLAIN else kind_of(inspect.unwrap(func))
    is_async = consumer in (Kind.ASYNC, Kind.ASYNC_STREAM)
    streams = consumer in (Kind.STREAM, Kind.ASYNC_STREAM)
    on_loop = kind in (Kind.ASYNC, Kind.ASYNC_STREAM)

    def around(args: tuple[Any, ...]) -> Any:
        call = Call(_message_of(args, name), is_async, streams)
        return _OnThread(body(call), call if only_saves else None) if on_loop else body(call)

    make = {Kind.PLAIN: _plain, Kind.ASYNC: _async, Kind.STREAM: _stream, Kind.ASYNC_STREAM: _async_stream}[kind]
    return cast(F, functools.wraps(func)(make(func, around)))


def _message_of(args: tuple[Any, ...], name: str) -> Message:
    for argument in args[:2]:
        if isinstance(argument, Message):
            return argument
    raise ValueError(f"{name} called without Message instance")


_Around = Callable[[tuple[Any, ...]], Any]


def _plain(func: Callable[..., Any], around: _Around) -> Callable[..., Any]:
    def consumer(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            if not stack.enter_context(around(args)):
                return None
            result = func(*args, **kwargs)
            if result is not None and goes_on(result):
                return _going_on(result, stack.pop_all())
            return result

    return consumer


def _async(func: Callable[..., Any], around: _Around) -> Callable[..., Any]:
    async def consumer(*args: Any, **kwargs: Any) -> Any:
        async with around(args) as wanted:
            return await func(*args, **kwargs) if wanted else None

    return consumer


def _stream(func: Callable[..., Any], around: _Around) -> Callable[..., Any]:
    def consumer(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with around(args) as wanted:
            if wanted:
                yield from func(*args, **kwargs)

    return consumer


def _async_stream(func: Callable[..., Any], around: _Around) -> Callable[..., Any]:
    async def consumer(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with around(args) as wanted:
            if wanted:
                async with aclosing(func(*args, **kwargs)) as items:
                    async for item in items:
                        yield item

    return consumer


def _going_on(result: Any, entered: ExitStack) -> Any:
    """A plain callable gave back a coroutine or a generator: what is around the consumer ends when that does."""
    if inspect.iscoroutine(result):
        return _awaited(result, entered)
    return _async_rest(result, entered) if inspect.isasyncgen(result) else _rest(result, entered)


async def _awaited(coroutine: Awaitable[Any], entered: ExitStack) -> Any:
    async with _OnThread(entered):
        return await coroutine


def _rest(generator: Any, entered: ExitStack) -> Iterator[Any]:
    with entered:
        yield from generator


async def _async_rest(generator: Any, entered: ExitStack) -> AsyncIterator[Any]:
    async with _OnThread(entered), aclosing(generator) as items:
        async for item in items:
            yield item


class _OnThread:
    """A context manager that is entered and left on asgiref's thread for database work.

    With a ``call`` it is left there only if that has changed a session, else here.
    """

    def __init__(self, manager: AbstractContextManager[Any], call: Call | None = None) -> None:
        self._manager = manager
        self._call = call

    async def __aenter__(self) -> Any:
        return await sync_to_async(self._manager.__enter__)()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._call is None or self._call.changed():
            await sync_to_async(self._manager.__exit__)(kind, error, traceback)
        else:
            self._manager.__exit__(kind, error, traceback)
