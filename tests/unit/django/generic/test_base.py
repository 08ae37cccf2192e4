"""``BaseConsumer``."""

from __future__ import annotations

import abc
import asyncio
import gc
import inspect
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from routechan import Message
from routechan.routing import RouteClass
from routechan_django.generic import BaseConsumer
from routechan_django.sessions import channel_session, session_for_reply_channel
from routechan_django.test import WSClient
from tests.unit.django.helpers import message

Clients = Callable[..., WSClient]


class Events(BaseConsumer):
    method_mapping: ClassVar = {"test.create": "create", "test.test": "test"}

    def create(self, message: Message, **kwargs: Any) -> str:
        self.called = "create"
        return "made"

    def test(self, message: Message, **kwargs: Any) -> None:
        self.called = "test"


def test_the_class_is_the_consumer(client_of: Clients) -> None:
    """GN-01, GN-03, TC-11: calling the class runs the method for the channel and gives the instance."""
    client = client_of(Events)
    for channel, method in Events.method_mapping.items():
        consumer = client.send_and_consume(channel)
        assert type(consumer) is Events
        assert consumer.called == method


def test_unmapped_channels_have_no_route(client_of: Clients) -> None:
    """GN-07: only mapped channels are routed to the class."""
    client = client_of(Events)
    assert client.get_consumer_by_channel("test.create") is Events
    assert client.get_consumer_by_channel("test.wrong") is None
    assert client.get_consumer_by_channel("test") is None


def test_channel_names() -> None:
    """GN-02: the channels are the keys of the mapping."""
    assert Events.channel_names() == {"test.create", "test.test"}


def test_unmapped_message() -> None:
    """GN-03: a message on a channel that is not mapped is a ``KeyError``."""
    with pytest.raises(KeyError, match=r"test\.wrong"):
        Events(message(channel="test.wrong"))


def test_message_and_kwargs_are_there_before_dispatch() -> None:
    """GN-01: the constructor keeps message and named groups, then calls ``dispatch`` with both."""

    class Watched(Events):
        def dispatch(self, message: Message, **kwargs: Any) -> Any:
            self.seen = (self.message is message, self.kwargs, kwargs)
            self.result = super().dispatch(message, **kwargs)

    consumer = Watched(message(channel="test.create"), room="a")
    assert consumer.seen == (True, {"room": "a"}, {"room": "a"})
    assert consumer.result == "made"  # GN-04


def test_each_message_has_an_instance_of_its_own() -> None:
    """GN-06: what one message leaves on ``self`` the next does not find."""

    class Counting(BaseConsumer):
        method_mapping: ClassVar = {"test": "count"}
        counted = 0

        def count(self, message: Message, **kwargs: Any) -> None:
            self.counted += 1

    for _ in range(2):
        assert Counting(message(channel="test")).counted == 1


@pytest.mark.parametrize("user", [False, True])
def test_session_and_user(user: bool) -> None:
    """GN-03, GN-06: the attributes give the message a channel session, and a user."""

    class Remembering(BaseConsumer):
        method_mapping: ClassVar = {"test": "remember"}
        channel_session = True
        channel_session_user = user

        def remember(self, message: Message, **kwargs: Any) -> None:
            assert message is self.message
            message.channel_session["seen"] = "yes"  # type: ignore[attr-defined]

    given: Any = message(channel="test")
    Remembering(given)
    assert session_for_reply_channel(given.reply_channel.name)["seen"] == "yes"
    assert hasattr(given, "user") is user


def test_no_session_unless_asked_for() -> None:
    """GN-03: without the attributes the method is called bare, so a message needs no reply channel."""
    given = Message({}, "test.create", None)
    Events(given)
    assert not hasattr(given, "channel_session")


def test_decorators_in_get_handler() -> None:
    """GN-03: ``get_handler`` is where decorators are applied."""

    class Decorated(Events):
        def get_handler(self, message: Message, **kwargs: Any) -> Any:
            return channel_session(super().get_handler(message, **kwargs))

    given: Any = message(channel="test.create")
    Decorated(given)
    assert session_for_reply_channel(given.reply_channel.name).session_key


# as_route


def test_as_route_without_attributes() -> None:
    """GN-05: the route's consumer is the class itself."""
    route = Events.as_route(path="^/x$")
    assert isinstance(route, RouteClass)
    assert route.consumer is Events
    assert route.filters["path"].pattern == "^/x$"


def test_as_route_with_attributes(client_of: Clients) -> None:
    """GN-05: with attributes it is a subclass of the same name, even with a mapping and methods of its own."""

    def trigger(self: Any, message: Message, **kwargs: Any) -> None:
        self.triggered = kwargs

    class Bare(BaseConsumer):
        pass

    route = Bare.as_route({"method_mapping": {"test.x": "trigger"}, "trigger": trigger}, name="^(?P<word>.*)$")
    assert route.consumer is not Bare
    assert issubclass(route.consumer, Bare)  # type: ignore[arg-type]
    assert route.consumer.__name__ == "Bare"
    assert route.consumer.__module__ == __name__
    assert Bare.method_mapping == {}
    consumer = client_of([route]).send_and_consume("test.x", {"name": "filter"})
    assert consumer.triggered == {"word": "filter"}


def test_as_route_with_no_dict() -> None:
    """GN-05: attributes that are no dict are refused, with what to write."""
    with pytest.raises(ValueError, match=r"as_route\(\) of Events takes attrs as a dict .*, not \['strict'\]"):
        Events.as_route(["strict"])  # type: ignore[arg-type]


# Handlers of every kind


class Kinds(BaseConsumer):
    method_mapping: ClassVar = {"plain": "plain", "async": "coroutine", "stream": "stream", "astream": "astream"}

    def plain(self, message: Message, **kwargs: Any) -> None:
        self.ran = "plain"

    async def coroutine(self, message: Message, **kwargs: Any) -> None:
        self.ran = "async"

    def stream(self, message: Message, **kwargs: Any) -> Any:
        yield {"n": 1}

    async def astream(self, message: Message, **kwargs: Any) -> Any:
        yield {"n": 2}


async def test_calling_the_class_gives_what_is_left_to_do() -> None:
    """GN-01: an instance where the handler is plain; else what a function of that kind gives; a coroutine of it."""
    assert Kinds(message(channel="plain")).ran == "plain"
    work = Kinds(message(channel="async"))
    assert inspect.iscoroutine(work)
    consumer = await work
    assert isinstance(consumer, Kinds)
    assert consumer.ran == "async"
    assert list(Kinds(message(channel="stream"))) == [{"n": 1}]
    assert [item async for item in Kinds(message(channel="astream"))] == [{"n": 2}]


def test_async_handler_in_the_client(client_of: Clients) -> None:
    """TC-11: the client gives the instance of an async consumer too, after it ran."""
    consumer = client_of(Kinds).send_and_consume("async")
    assert consumer.ran == "async"


def test_session_of_an_async_handler() -> None:
    """GN-03: the session is saved when an async handler has ended, not when it was called."""

    class Remembering(Kinds):
        channel_session = True

        async def coroutine(self, message: Any, **kwargs: Any) -> None:
            message.channel_session["seen"] = "yes"

    given: Any = message(channel="async")
    asyncio.run(Remembering(given))
    assert session_for_reply_channel(given.reply_channel.name)["seen"] == "yes"


def test_abstract_base_classes_can_be_mixed_in() -> None:
    """GN-01: the type of consumers does not stand in the way of ``abc.ABC``."""

    class Announces(abc.ABC):
        @abc.abstractmethod
        def announce(self) -> str: ...

    class Mixed(Events, Announces):
        def announce(self) -> str:
            return "here"

    assert Mixed(message(channel="test.test")).announce() == "here"


def test_nothing_outlives_its_message() -> None:
    """GN-06: the decorators that wrap a handler for each message do not keep it."""

    class Short(Events):
        channel_session = True

    def instances() -> list[weakref.ref[Any]]:
        return [weakref.ref(Short(message(channel="test.test"))) for _ in range(3)]

    alive = instances()
    gc.collect()
    assert [reference() for reference in alive] == [None] * 3
