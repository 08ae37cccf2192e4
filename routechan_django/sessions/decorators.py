"""Decorators of consumers, for consumers of every kind.

A decorator is written once, as a context manager around one call. For plain functions and generators it is entered
and left where they run, on a thread. For ``async def`` it is entered and left on asgiref's thread for database work,
and the function itself stays on the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

from asgiref.sync import sync_to_async

from routechan import Message
from routechan.inspection import Kind, kind_of, kind_of_unfinished
from routechan.message import advise

from ..messages import F

advise(
    http_session=(
        "decorate the consumer with http_session of routechan_django.sessions, which is for websocket.connect and "
        "http.request; for later events too decorate all of them with channel_and_http_session"
    ),
    session="there are channel_session and http_session, where decorators of routechan_django.sessions put them",
)


@dataclass(frozen=True)
class Call:
    """One call of a decorated consumer. Lifetime: message.

    Args:
        message: The message it is called with.
        is_async: Whether the consumer is async. It may not use the database, so sessions are read before it runs.
        streams: Whether it is a generator, which runs beside later events of its connection.
    """

    message: Message
    is_async: bool
    streams: bool

    def changed(self) -> bool:
        """Whether a session of the message has to be saved."""
        return has_changed(self.message)


def has_changed(message: Message) -> bool:
    """Whether a session of ``message`` has to be saved."""
    given = vars(message)
    channel, http = given.get("channel_session"), given.get("http_session")
    return bool((channel is not None and channel.modified) or (http is not None and http.modified))


#: Makes the context manager around one call; it yields whether to run the consumer.
CallContext = Callable[[Call], AbstractContextManager[bool]]

#: Makes the context of a call for which all is in memory, plain and async, from the message and whether the consumer is
#: async; None where the other context is needed.
AtHand = Callable[[Message, bool], Any]

#: The same, from the positional arguments of the call; for an async consumer an async context manager.
_ArgsContext = Callable[[tuple[Any, ...]], Any]


def decorate(name: str, func: F, context: CallContext, *, only_saves: bool = True, at_hand: AtHand | None = None) -> F:
    """The consumer ``func`` with a context around each call, as a function of the same kind.

    The message is looked for among the first two positional arguments, so methods are decorated as well as functions
    (SE-06).

    Args:
        name: The name of the decorator, for errors.
        func: A consumer of any kind.
        context: Makes the context of a call.
        only_saves: Whether leaving the context does nothing but save sessions. Then an async consumer that changed
            none saves the hop to the thread and back, which costs more than reading a session from a cache.
        at_hand: Asked before, unless the consumer streams: makes a context that costs next to nothing.

    Raises:
        ValueError: From a call without a message.
    """
    kind = kind_of(func)
    # A plain wrapper around an async consumer returns the coroutine or generator of that consumer.
    inner_kind = kind if kind is not Kind.PLAIN else kind_of(inspect.unwrap(func))
    is_async = inner_kind in (Kind.ASYNC, Kind.ASYNC_STREAM)
    streams = inner_kind in (Kind.STREAM, Kind.ASYNC_STREAM)
    on_loop = kind in (Kind.ASYNC, Kind.ASYNC_STREAM)

    asks = None if streams else at_hand

    def context_of(args: tuple[Any, ...]) -> Any:
        message = args[0] if args and isinstance(args[0], Message) else _message_of(args, name)
        if asks is not None and (light := asks(message, is_async)) is not None:
            return light
        call = Call(message, is_async, streams)
        return _ThreadContext(context(call), call if only_saves else None) if on_loop else context(call)

    wrap = {Kind.PLAIN: _plain, Kind.ASYNC: _async, Kind.STREAM: _stream, Kind.ASYNC_STREAM: _async_stream}[kind]
    return cast(F, functools.wraps(func)(wrap(func, context_of)))


def _message_of(args: tuple[Any, ...], name: str) -> Message:
    for argument in args[:2]:
        if isinstance(argument, Message):
            return argument
    raise ValueError(f"{name} called without Message instance")


def _plain(func: Callable[..., Any], context: _ArgsContext) -> Callable[..., Any]:
    def consumer(*args: Any, **kwargs: Any) -> Any:
        entered = context(args)
        should_run = entered.__enter__()
        try:  # an ``ExitStack`` costs as much as all the rest
            result = func(*args, **kwargs) if should_run else None
            if result is not None and kind_of_unfinished(result) is not None:
                _read_ahead(args)
                stack = ExitStack()
                stack.push(entered)
                return _unfinished(result, stack)
        except BaseException as error:
            if not entered.__exit__(type(error), error, error.__traceback__):
                raise
            return None
        entered.__exit__(None, None, None)
        return result

    return consumer


def _read_ahead(args: tuple[Any, ...]) -> None:
    """Read what a consumer is given that is read when it is used: one on the event loop could not."""
    for message in args[:2]:
        for name in ("channel_session", "http_session"):
            session = getattr(message, name, None) if isinstance(message, Message) else None
            if session is not None:
                session.keys()
        if isinstance(message, Message):
            getattr(message, "user", None)


def _async(func: Callable[..., Any], context: _ArgsContext) -> Callable[..., Any]:
    async def consumer(*args: Any, **kwargs: Any) -> Any:
        async with context(args) as should_run:
            return await func(*args, **kwargs) if should_run else None

    return consumer


def _stream(func: Callable[..., Any], context: _ArgsContext) -> Callable[..., Any]:
    def consumer(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with context(args) as should_run:
            if should_run:
                yield from func(*args, **kwargs)

    return consumer


def _async_stream(func: Callable[..., Any], context: _ArgsContext) -> Callable[..., Any]:
    async def consumer(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with context(args) as should_run:
            if should_run:
                async with aclosing(func(*args, **kwargs)) as items:
                    async for item in items:
                        yield item

    return consumer


def _unfinished(result: Any, entered: ExitStack) -> Any:
    """The coroutine or generator that a plain wrapper returned, with the entered context left at its end."""
    if inspect.iscoroutine(result):
        return _finish(result, entered)
    return _async_items(result, entered) if inspect.isasyncgen(result) else _items(result, entered)


async def _finish(coroutine: Awaitable[Any], entered: ExitStack) -> Any:
    async with _ThreadContext(entered):
        return await coroutine


def _items(generator: Any, entered: ExitStack) -> Iterator[Any]:
    with entered:
        yield from generator


async def _async_items(generator: Any, entered: ExitStack) -> AsyncIterator[Any]:
    async with _ThreadContext(entered), aclosing(generator) as items:
        async for item in items:
            yield item


async def on_thread(leave: Callable[..., object], *how: Any) -> None:
    """Leave a context on asgiref's thread for database work.

    Args:
        leave: The exit of a context; where it is called a second time it does nothing.
        *how: Its arguments.
    """
    try:
        await sync_to_async(leave)(*how)
    except asyncio.CancelledError:
        # A stream is cancelled when its connection is over. If the thread has not begun, nothing is saved yet; the
        # garbage collector would leave the context, any time later and on any thread.
        await sync_to_async(leave)(*how)
        raise


class _ThreadContext:
    """An async context manager that enters and leaves ``manager`` on asgiref's thread for database work.

    Given a ``call``, it leaves ``manager`` on that thread only if the call has changed a session, else on the loop.
    Lifetime: message.
    """

    def __init__(self, manager: AbstractContextManager[Any], call: Call | None = None) -> None:
        self._manager = manager
        self._call = call
        self._left = False

    async def __aenter__(self) -> Any:
        return await sync_to_async(self._manager.__enter__)()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._call is not None and not self._call.changed():
            self._leave(kind, error, traceback)
            return
        await on_thread(self._leave, kind, error, traceback)

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._left:
            self._left = True
            self._manager.__exit__(kind, error, traceback)
