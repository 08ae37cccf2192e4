"""``ChannelLiveServerTestCase``: a real server, on a layer that crosses processes."""

import asyncio
import urllib.request

import websockets
from channels.test import ChannelLiveServerTestCase
from django.test import tag


@tag("live")
class Live(ChannelLiveServerTestCase):
    def test_a_socket_and_a_page(self):
        """The view answers, and the consumer does."""
        with urllib.request.urlopen(self.live_server_url + "/hello/?name=Ann") as answer:
            self.assertEqual(answer.read(), b"Hello Ann")
        self.assertEqual(asyncio.run(talk(self.live_server_ws_url + "/echo/")), "hello")

    def test_a_layer_of_the_project(self):
        """What a consumer sends in the server passes the project's own layer class."""
        self.assertEqual(asyncio.run(talk(self.live_server_ws_url + "/marked/")), "marked")


async def talk(url):
    async with websockets.connect(url) as socket:
        await socket.send("hello")
        return await socket.recv()
