"""``BaseConsumer``: a class whose methods are consumers."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, ClassVar, TypeVar

from routechan.exceptions import RoutingError
from routechan.inspection import Kind, kind_of, kind_of_unfinished
from routechan.message import Message
from routechan.routing import RouteClass, route_class

from ..auth import UserMessage, channel_session_user
from ..sessions import channel_session

__all__ = ["BaseConsumer", "channel_session", "channel_session_user", "route_class"]

Handler = Callable[..., Any]
Result = TypeVar("Result")


def overridable(method: Callable[..., Result]) -> Callable[..., Result]:
    """The ``method``, with a type that lets overrides name the groups of their routes.

    To a type checker ``connect(self, message, room)`` takes less than ``connect(self, message, **kwargs)`` does.
    """
    return method


class ConsumerType(ABCMeta):
    """The metaclass of class-based consumers: calling such a class runs its consumer.

    A constructor can neither await nor iterate. Where the handler is an ``async def`` or a generator, calling the class
    therefore returns a coroutine or a generator, as calling such a function does. It is an ``ABCMeta`` so that abstract
    base classes can be mixed in.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return outcome(super().__call__(*args, **kwargs))


def outcome(consumer: Any) -> Any:
    """The result of calling a consumer's class, from its instance.

    Args:
        consumer: The instance, whose constructor has called the handler.

    Returns:
        The instance; where the handler is an ``async def``, a coroutine that returns the instance; where it is a
        generator, that generator.
    """
    unfinished = getattr(consumer, "_unfinished", None)
    if unfinished is None:
        return consumer
    return _finish(consumer, unfinished) if inspect.iscoroutine(unfinished) else unfinished


async def _finish(consumer: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    await coroutine
    return consumer


class BaseConsumer(metaclass=ConsumerType):
    """A class that is a consumer, with a method for each channel. Lifetime of an instance: message.

    Calling the class runs the method for the message's channel, which may be a ``def``, an ``async def`` or a
    generator, in the way a function of its kind is run. The call returns the instance (GN-01); where the method is an
    ``async def`` a coroutine that returns the instance; where it is a generator, that generator.

    Args:
        message: The message.
        **kwargs: The named groups of its route.
    """

    #: Channel name -> method name.
    method_mapping: ClassVar[dict[str, str]] = {}

    #: Whether messages get ``message.channel_session``; whether they get ``message.user`` too.
    channel_session: bool = False
    channel_session_user: bool = False

    _unfinished: Any = None

    def __init__(self, message: Message, **kwargs: Any) -> None:
        self.message: UserMessage = message  # type: ignore[assignment]  # as far as its decorators give these
        self.kwargs = kwargs
        result = self.dispatch(message, **kwargs)
        if result is not None and kind_of_unfinished(result) is not None:
            self._unfinished = result

    @classmethod
    def channel_names(cls) -> set[str]:
        """The channels whose messages it takes (GN-02)."""
        return set(cls.method_mapping)

    @classmethod
    def as_route(cls, attrs: dict[str, Any] | None = None, **filters: Any) -> RouteClass:
        """A route to this class, or to a subclass of it (GN-05).

        Args:
            attrs: Attributes of a subclass that is made for this route.
            **filters: Regular expressions over the content, as for ``route``.

        Raises:
            RoutingError: ``attrs`` is no dict, or a filter is wrong.
        """
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
        """The kind of the method for ``channel``: plain, async, or a generator of either."""
        name = cls.method_mapping.get(channel)
        return Kind.PLAIN if name is None else kind_of(getattr(cls, name))

    def get_handler(self, message: Message, **kwargs: Any) -> Handler:
        """The method for ``message``, decorated; override it to apply further decorators (GN-03).

        Args:
            message: The message.
            **kwargs: The named groups of its route.
        """
        handler = self._find_handler(message)
        if self.channel_session_user:
            return channel_session_user(handler)
        if self.channel_session:
            return channel_session(handler)
        return handler

    def dispatch(self, message: Message, **kwargs: Any) -> Any:
        """Call the handler (GN-04).

        Args:
            message: The message.
            **kwargs: The named groups of its route.

        Returns:
            What the handler returns.
        """
        return self.get_handler(message, **kwargs)(message, **kwargs)

    def _find_handler(self, message: Message) -> Handler:
        handler: Handler = getattr(self, self.method_mapping[channel_of(message)])
        return handler


def channel_of(message: Message) -> str:
    """The name of the channel that ``message`` came on, also of a mock, to which tests of 1.x give a ``channel``."""
    name = message.channel_name
    return name if type(name) is str else message.channel.name


def as_kind(kind: Kind, function: Handler, before: Callable[[], Awaitable[None]] | None = None) -> Handler:
    """A function of ``kind`` that does what ``function`` does; decorators then treat it as one of this kind.

    Args:
        kind: The kind of the result.
        function: A plain function that returns what a function of ``kind`` returned to it.
        before: Awaited first, where ``kind`` is an async one.
    """
    if kind is Kind.ASYNC:

        async def run(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                await before()
            return await function(*args, **kwargs)

        return run
    if kind is Kind.ASYNC_STREAM:

        async def astream(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                await before()
            async with aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    yield item

        return astream
    if kind is Kind.STREAM:

        def stream(*args: Any, **kwargs: Any) -> Any:
            yield from function(*args, **kwargs)

        return stream
    return function
