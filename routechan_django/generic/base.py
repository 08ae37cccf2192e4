"""``BaseConsumer``: a class whose methods are consumers."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, ClassVar

from routechan.exceptions import RoutingError
from routechan.kinds import Kind, goes_on, kind_of
from routechan.message import Message
from routechan.routing import RouteClass, route_class

from ..auth import channel_session_user
from ..sessions import channel_session

__all__ = ["BaseConsumer", "channel_session", "channel_session_user", "route_class"]

Handler = Callable[..., Any]


class ConsumerType(ABCMeta):
    """The type of class-based consumers: to call such a class is to run its consumer.

    A constructor can neither await nor iterate. Where the handler is an ``async def`` or a generator, calling the
    class therefore gives what is left to be done, as calling such a function does. (An ``ABCMeta``, so that abstract
    base classes can be mixed in.)
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return outcome(super().__call__(*args, **kwargs))


def outcome(consumer: Any) -> Any:
    """What calling a consumer's class gives: the instance; a coroutine of the instance; or a generator."""
    work = getattr(consumer, "_work", None)
    if work is None:
        return consumer
    return _finish(consumer, work) if inspect.iscoroutine(work) else work


async def _finish(consumer: Any, work: Coroutine[Any, Any, Any]) -> Any:
    await work
    return consumer


class BaseConsumer(metaclass=ConsumerType):
    """A class that is a consumer: a method for each channel. Lifetime of an instance: message.

    Calling the class with a message and the named groups of its route runs the method for the message's channel,
    which may be a ``def``, an ``async def`` or a generator, and gives the instance (GN-01); where the method is an
    ``async def``, a coroutine that gives it, where it is a generator, that. A method that ``get_handler`` leaves
    undecorated is run as a function of its kind is.
    """

    #: Channel name to method name.
    method_mapping: ClassVar[dict[str, str]] = {}

    #: Give messages ``message.channel_session``; ``message.user`` too.
    channel_session: bool = False
    channel_session_user: bool = False

    _work: Any = None

    def __init__(self, message: Message, **kwargs: Any) -> None:
        self.message = message
        self.kwargs = kwargs
        work = self.dispatch(message, **kwargs)
        if work is not None and goes_on(work):
            self._work = work

    @classmethod
    def channel_names(cls) -> set[str]:
        """The channels it takes messages from (GN-02)."""
        return set(cls.method_mapping)

    @classmethod
    def as_route(cls, attrs: dict[str, Any] | None = None, **filters: Any) -> RouteClass:
        """A route to this class, or with ``attrs`` to a subclass of it with these attributes (GN-05)."""
        if not attrs:
            return route_class(cls, **filters)
        if not isinstance(attrs, dict):
            raise RoutingError(
                f"as_route() of {cls.__name__} takes attrs as a dict such as {{'strict_ordering': True}}, not {attrs!r}"
            )
        body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, **attrs}
        return route_class(type(cls.__name__, (cls,), body), **filters)

    @classmethod
    def kind_on(cls, channel: str) -> Kind:
        """How messages on ``channel`` are handled: by a plain function, an ``async def``, a generator."""
        name = cls.method_mapping.get(channel)
        return Kind.PLAIN if name is None else kind_of(getattr(cls, name))

    def get_handler(self, message: Message, **kwargs: Any) -> Handler:
        """The method for ``message``, decorated; override it to apply decorators of your own (GN-03)."""
        handler = self._find_handler(message)
        if self.channel_session_user:
            return channel_session_user(handler)
        if self.channel_session:
            return channel_session(handler)
        return handler

    def dispatch(self, message: Message, **kwargs: Any) -> Any:
        """Call the handler, and return what it returns (GN-04)."""
        return self.get_handler(message, **kwargs)(message, **kwargs)

    def _find_handler(self, message: Message) -> Handler:
        handler: Handler = getattr(self, self.method_mapping[message.channel_name])
        return handler


def as_kind(kind: Kind, function: Handler, first: Callable[[], Awaitable[None]] | None = None) -> Handler:
    """A function of ``kind`` around ``function``, which returns what an ``async def`` or a generator gave it.

    Decorators look at the kind of what they are given, and see through no plain function. Where ``kind`` is an async
    one, ``first`` is awaited before.
    """
    if kind is Kind.ASYNC:

        async def run(*args: Any, **kwargs: Any) -> Any:
            if first is not None:
                await first()
            return await function(*args, **kwargs)

        return run
    if kind is Kind.ASYNC_STREAM:

        async def astream(*args: Any, **kwargs: Any) -> Any:
            if first is not None:
                await first()
            async with aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    yield item

        return astream
    if kind is Kind.STREAM:

        def stream(*args: Any, **kwargs: Any) -> Any:
            yield from function(*args, **kwargs)

        return stream
    return function
