"""Tests of projects: cases, clients, routes of their own, what was sent."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from routechan import Group, Message, route
from routechan.testing import sent
from routechan_django.test import ChannelTestCase, Client, WSClient, apply_routes


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


class EchoTests(ChannelTestCase):
    test_channel_aliases = ["default"]

    def setUp(self) -> None:
        self.client_of_a_socket = WSClient(ordered=True)

    @apply_routes([route("websocket.receive", echo)])
    def test_echo(self) -> None:
        self.client_of_a_socket.send_and_consume("websocket.receive", text={"n": 1}, path="/echo/")
        assert_type(self.client_of_a_socket.receive(), Any)
        assert_type(sent.channel("echo"), list[dict[str, Any]])

    async def test_async(self) -> None:
        client = Client()
        await client.asend_and_consume("websocket.receive", {"text": "a"})
        assert_type(client.reply_channel, str)
        Group("readers").send({"text": "b"})
        message = self.get_next_message("readers", require=True)
        assert_type(message, Message | None)
        with apply_routes({"echo": echo}):
            client.consume("echo", fail_on_none=False)
