"""``Client``: the routing of the settings, signals, and the database of the test."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started
from django.db import connections
from django.test import override_settings

from routechan import Channel, Message, WebsocketCloseException, route
from routechan_django.handler import ViewConsumer
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.signals import consumer_failed, consumer_finished, consumer_started
from routechan_django.test import ChannelTestCase, Client, WSClient, apply_routes
from tests.unit.django.helpers import connected


class Counter:
    """A consumer that is a class."""

    def __init__(self, message: Message, **kwargs: Any) -> None:
        self.kwargs = kwargs

    @classmethod
    def channel_names(cls) -> set[str]:
        return {"websocket.receive"}


class ClientTests(ChannelTestCase):
    def test_the_routing_of_the_settings(self) -> None:
        """TC-11: consumers are those of the layer's routing, with what the route gives them."""
        client = Client()
        client.send_and_consume("websocket.receive", {"path": "/chat/django/", "text": "hi"})
        assert client.receive() == {"text": "django: hi"}

    def test_defaults_are_not_there(self) -> None:
        """TC-04, TC-14: no default consumer takes a socket's events."""
        with pytest.raises(AssertionError, match="no route takes the message on 'websocket.connect'"):
            Client().send_and_consume("websocket.connect", {"path": "/"})

    @apply_routes([route("websocket.receive", Counter, path=r"^/(?P<id>\d+)$")])
    def test_the_result_is_the_instance_of_a_class(self) -> None:
        """TC-11: for a class-based consumer the instance is returned."""
        consumer = Client().send_and_consume("websocket.receive", {"path": "/789"})
        assert isinstance(consumer, Counter)
        assert consumer.kwargs["id"] == "789"

    def test_signals(self) -> None:
        """TC-11, TC-13, SG-01, SG-02: started and finished around the consumer, the sender is the client's class."""
        calls: list[Any] = []

        def started(sender: Any, **kwargs: Any) -> None:
            calls.append(("started", sender, "environ" in kwargs))

        def finished(sender: Any, **kwargs: Any) -> None:
            calls.append(("finished", sender, self.get_next_message("out")))

        def consumer(message: Message) -> None:
            calls.append("consumer")
            Channel("out").send({})

        with (
            connected(started, consumer_started),
            connected(finished, consumer_finished),
            apply_routes(route("test", consumer)),
        ):
            WSClient().send_and_consume("test")
        assert calls == [("started", WSClient, False), "consumer", ("finished", WSClient, None)]
        assert self.get_next_message("out") is not None

    def test_a_failure_is_a_signal_too(self) -> None:
        """TC-12: ``consumer_failed`` is sent as in production, and the exception raised."""
        failures: list[Any] = []

        def failed(**kwargs: Any) -> None:
            failures.append((kwargs["message"]["a"], kwargs["consumer"], kwargs["exception"]))

        def consumer(message: Message) -> None:
            raise LookupError("on purpose")

        with (
            connected(failed, consumer_failed),
            apply_routes(route("test", consumer)),
            pytest.raises(LookupError, match="on purpose") as raised,
        ):
            Client().send_and_consume("test", {"a": 1})
        assert failures == [(1, consumer, raised.value)]

    @apply_routes(route("websocket.receive", lambda message: close()))
    def test_a_close_exception(self) -> None:
        """TC-30, OB-30: ``WebsocketCloseException`` closes; the reply channel is one of a WebSocket."""
        client = WSClient()
        client.send_and_consume("websocket.receive")
        assert client.receive() == {"close": 4000}


def close() -> None:
    raise WebsocketCloseException(4000)


class DatabaseTests(ChannelTestCase):
    @override_settings(ROOT_URLCONF="tests.unit.django.views")
    def test_a_view_closes_none_either(self) -> None:
        """TC-13, HT-23: Django's own receivers leave them alone while a ``ViewConsumer`` runs, and only then."""
        content = {"path": "/hello/", "method": "GET"}
        with mock.patch.object(type(connections["default"]), "close_if_unusable_or_obsolete") as closed:
            with apply_routes(route("http.request", ViewConsumer())):
                client = Client()
                client.send_and_consume("http.request", content)
                assert client.receive()["status"] == 200
                async_to_sync(client.asend_and_consume)("http.request", content)
            assert not closed.called
            request_started.send(sender=None)
            request_finished.send(sender=None)
            assert closed.call_count == 2

    @apply_routes(
        [route("plain", lambda message: make_a_user(message)), route("async", lambda message: amake(message))]
    )
    def test_consumers_write_inside_the_transaction_of_the_test(self) -> None:
        """TC-13: plain and async consumers share the test's connection, and see what it has not committed."""
        users = get_user_model().objects
        users.create(username="of the test")
        Client().send_and_consume("plain")
        Client().send_and_consume("async")
        assert set(users.values_list("username", flat=True)) == {"of the test", "plain saw 1", "async saw 2"}

    @apply_routes(
        [route("plain", lambda message: make_a_user(message)), route("async", lambda message: amake(message))]
    )
    async def test_in_an_async_test_too(self) -> None:
        """TC-13: the same in an async test, where plain consumers run in the thread of the database."""
        users = get_user_model().objects
        await users.acreate(username="of the test")
        await Client().asend_and_consume("plain")
        await Client().asend_and_consume("async")
        names = {user.username async for user in users.all()}
        assert names == {"of the test", "plain saw 1", "async saw 2"}


def make_a_user(message: Message) -> None:
    users = get_user_model().objects
    users.create(username=f"plain saw {users.count()}")


async def amake(message: Message) -> None:
    users = get_user_model().objects
    await sync_to_async(users.create)(username=f"async saw {await users.acount()}")


def test_the_layer_of_the_settings_is_left_alone(layer: ChannelLayerWrapper) -> None:
    """TC-07: outside of a test case the client uses the layer there is."""
    client = Client()
    client.send("thumbnail", {"text": "1"})
    assert layer.receive(["thumbnail"])[1]["text"] == "1"
