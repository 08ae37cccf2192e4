from unittest.mock import patch

import channels.log
from channels import Group
from channels.asgi import channel_layers, get_channel_layer
from channels.test import ChannelTestCase, Client, WSClient, apply_routes
from channels.test.base import ChannelTestCaseMixin
from django.contrib.auth import get_user_model

from . import consumers, routing
from .models import Card


class BoardTests(ChannelTestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("bob", password="secret", is_staff=True)

    def connected(self, path="/board/"):
        client = WSClient(ordered=True)
        client.force_login(self.user)
        client.join_group("cards")
        client.send_and_consume("websocket.connect", path=path)
        return client

    def test_status_stream(self):
        client = self.connected()
        self.assertEqual(client.receive()["payload"], {"status": "connected"})
        client.send_and_consume(
            "websocket.receive", path="/board/", text={"stream": "status", "payload": {"n": 1}}
        )
        self.assertEqual(client.receive()["payload"], {"echo": {"n": 1}})

    def test_a_change_reaches_the_group(self):
        client = self.connected()
        client.receive()
        card = Card.objects.create(name="one", points=3)
        payload = client.receive()["payload"]
        self.assertEqual(payload["data"], {"name": "one", "points": 3})
        self.assertEqual((payload["action"], payload["pk"]), ("create", card.pk))

    def test_a_change_of_a_client(self):
        card = Card.objects.create(name="one")
        client = self.connected()
        text = {"stream": "cards", "payload": {"action": "update", "pk": card.pk, "data": {"name": "two"}}}
        client.send_and_consume("websocket.receive", path="/board/", text=text)
        card.refresh_from_db()
        self.assertEqual(card.name, "two")

    def test_echo(self):
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/echo/ann/?x=1")
        self.assertEqual(client.receive(), {"greeting": "hello ann"})
        client.send_and_consume("websocket.receive", path="/echo/ann/", text={"n": 1})
        self.assertEqual(client.receive(), {"name": "ann", "content": {"n": 1}})
        client.send_and_consume("websocket.disconnect", path="/echo/ann/")
        listener = Client()
        listener.join_group("cards")
        client.consume("reminders")
        self.assertEqual(listener.receive(), {"text": "reminder for ann"})

    def test_routes_of_a_test(self):
        with apply_routes(routing.ticker_routing):
            WSClient().send_and_consume("websocket.connect", path="/")
        self.assertTrue(consumers.FINISHED is not None)

    def test_patches(self):
        with patch("channels.Group.send") as send:
            Group("x").send({"text": "y"})
        self.assertEqual(send.call_count, 1)

    def test_names(self):
        self.assertTrue(issubclass(ChannelTestCase, ChannelTestCaseMixin))
        self.assertIn("default", channel_layers)
        self.assertTrue(callable(get_channel_layer().send))
        self.assertTrue(channels.log.setup_logger("cards"))

    def test_view(self):
        self.assertEqual(self.client.get("/cards/").status_code, 403)
        self.client.force_login(self.user)
        Card.objects.create(name="one").delete()
        self.assertEqual(self.client.get("/cards/").json(), {"cards": []})
