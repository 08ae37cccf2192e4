"""The project's own tests, as its tutorial writes them: with the test tools of Channels."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator, WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import SimpleTestCase, TransactionTestCase, override_settings

from routechan import Group
from routechan.layers import InMemoryChannelLayer, channel_layers
from routechan_django.test import ChannelTestCase, sent
from routechan_django.test import layers as test_layers

from .asgi import application, sockets
from .workers import Thumbnails


async def enter(path: str, user: User | None = None) -> WebsocketCommunicator:
    """An accepted socket."""
    communicator = WebsocketCommunicator(application if user is None else sockets, path)
    if user is not None:
        communicator.scope["user"] = user
    connected, _ = await communicator.connect()
    assert connected
    return communicator


class ChatTests(TransactionTestCase):
    async def test_connects_sends_and_receives(self) -> None:
        socket = await enter("/ws/chat/lobby/")
        greeting = await socket.receive_json_from()
        assert greeting == {"type": "connection_established", "message": "Welcome to lobby"}
        await socket.send_json_to({"message": "hello", "username": "Ann"})
        assert await socket.receive_json_from() == {"message": "hello", "username": "Ann"}
        await socket.disconnect()

    async def test_what_is_wrong_is_answered_and_the_socket_stays_open(self) -> None:
        socket = await enter("/ws/chat/strict/")
        await socket.receive_json_from()
        for frame in ("no json", '{"message": ""}', '{"message": "%s"}' % ("x" * 1001), "[]"):
            await socket.send_to(frame)
            assert (await socket.receive_json_from())["type"] == "error"
        await socket.send_json_to({"message": "x" * 1000})
        assert (await socket.receive_json_from())["username"] == "Anonymous"
        await socket.disconnect()

    async def test_who_is_online(self) -> None:
        ann = await enter("/ws/chat/presence/", await User.objects.acreate(username="ann"))
        await ann.receive_json_from()
        assert await ann.receive_json_from() == {"type": "user_join", "username": "ann", "users": ["ann"]}
        ben = await enter("/ws/chat/presence/", await User.objects.acreate(username="ben"))
        joined = {"type": "user_join", "username": "ben", "users": ["ann", "ben"]}
        assert await ann.receive_json_from() == joined
        await ben.disconnect()
        assert await ann.receive_json_from() == {"type": "user_leave", "username": "ben", "users": ["ann"]}
        await ann.disconnect()

    async def test_messages_in_batches(self) -> None:
        socket = await enter("/ws/chat/batches/")
        await socket.receive_json_from()
        for number in range(10):
            assert await socket.receive_nothing(timeout=0.001)
            await socket.send_json_to({"message": str(number), "later": True})
        received = [(await socket.receive_json_from())["message"] for _ in range(10)]
        assert received == [str(number) for number in range(10)]
        await socket.disconnect()


class BothKindsTests(TransactionTestCase):
    async def test_a_function_and_a_class_in_one_group(self) -> None:
        function, instance = await enter("/plain/pair/"), await enter("/room/pair/")
        await instance.receive_json_from()
        await function.send_to("from a function")
        assert await instance.receive_from() == "from a function"
        assert await function.receive_from() == "from a function"
        await instance.send_to("from a class")
        assert await instance.receive_from() == "from a class"
        assert await function.receive_from() == "from a class"
        await instance.disconnect()
        await function.disconnect()

    @override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer"}})
    async def test_a_layer_for_tests_is_that_of_both(self) -> None:
        assert isinstance(get_channel_layer(), InMemoryChannelLayer)
        await self.test_a_function_and_a_class_in_one_group()

    async def test_a_consumer_of_a_worker(self) -> None:
        socket = await enter("/room/gallery/")
        await socket.receive_json_from()
        worker = ApplicationCommunicator(Thumbnails.as_asgi(), {"type": "channel", "channel": "thumbnails"})
        message: dict[str, Any] = {"type": "make", "id": 7, "group": "gallery"}
        await worker.send_input(message)
        assert await socket.receive_from() == "thumbnail 7 is made"
        await socket.disconnect()


class OwnLayerTests(ChannelTestCase):
    def test_what_a_class_sends_a_test_reads(self) -> None:
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        async_to_sync(layer.send)("thumbnails", {"type": "make", "id": 7})
        assert self.get_next_message("thumbnails", require=True)["id"] == 7
        Group("gallery").add("answers")
        async_to_sync(layer.group_send)("gallery", {"type": "chat.line"})
        assert async_to_sync(layer.receive)("answers") == {"type": "chat.line"}

    def test_the_layer_of_the_settings_comes_back(self) -> None:
        own = get_channel_layer()
        with test_layers.fresh_layers(["default", "alerts"]):
            assert own is not get_channel_layer() is not get_channel_layer("alerts")
        assert get_channel_layer() is own


class PlainTests(SimpleTestCase):
    """A test that asks for nothing: the layer of the settings may be that of people."""

    def check(self) -> None:
        layer = get_channel_layer()
        assert isinstance(layer, InMemoryChannelLayer)
        assert layer is channel_layers["default"].layer
        assert layer.sync.group_channels("gallery") == []
        assert sent.all() == []
        async_to_sync(layer.group_add)("gallery", "answers")
        async_to_sync(layer.group_send)("gallery", {"type": "chat.line"})
        assert sent.group("gallery") == [{"type": "chat.line"}]
        assert async_to_sync(layer.receive)("answers") == {"type": "chat.line"}

    def test_one(self) -> None:
        self.check()

    def test_two(self) -> None:
        self.check()

    def test_with_other_settings(self) -> None:
        with override_settings(CHANNEL_LAYERS={"default": settings.CHANNEL_LAYERS["default"]}):
            self.check()
            assert get_channel_layer("alerts") is None
        assert isinstance(get_channel_layer("alerts"), InMemoryChannelLayer)
