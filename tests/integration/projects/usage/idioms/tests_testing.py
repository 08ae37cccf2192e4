"""The test cases and clients themselves, and what projects made of them."""

import warnings

from channels import Channel, Group
from channels.asgi import channel_layers
from channels.test import ChannelTestCase, Client, HttpClient, TransactionChannelTestCase, WSClient
from channels.test.base import ChannelTestCaseMixin
from django.contrib.auth import get_user_model
from django.test import TestCase

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from channels.tests import ChannelTestCase as OldSpelling


class Cases(ChannelTestCase):
    def test_send_and_get_next_message(self):
        """``Channel().send`` in a test is immediate."""
        Channel("some-channel").send({"value": 33})
        message = self.get_next_message("some-channel", require=True)
        self.assertEqual(message["value"], 33)
        self.assertEqual(message.channel.name, "some-channel")
        self.assertIsNone(self.get_next_message("some-channel"))
        with self.assertRaises(AssertionError):
            self.get_next_message("some-channel", require=True)

    def test_each_test_has_a_layer_of_its_own(self):
        self.assertIsNone(self.get_next_message("left-over"))
        Channel("left-over").send({"value": 1})

    def test_each_test_has_a_layer_of_its_own_too(self):
        self.assertIsNone(self.get_next_message("left-over"))
        Channel("left-over").send({"value": 1})

    def test_no_match(self):
        """Nothing to consume, or nobody to do it: an assertion, or None."""
        client = Client()
        with self.assertRaises(AssertionError):
            client.consume("game.event")
        self.assertIsNone(client.consume("game.event", fail_on_none=False))
        with self.assertRaises(AssertionError):
            client.send_and_consume("unheard-of", {"a": 1})

    def test_join_group(self):
        client = WSClient()
        client.join_group("readers")
        Group("readers").send({"text": '{"a": 1}'})
        self.assertEqual(client.receive(), {"a": 1})

    def test_config_of_the_layer(self):
        """``make_test_backend`` reads TEST_CONFIG."""
        self.assertEqual(channel_layers.make_test_backend("default").channel_layer.expiry, 100500)


class OwnClient(HttpClient):
    """A client that knows its way: subclassed and with a method patched."""

    def say(self, text):
        self.send_and_consume("websocket.receive", text=text, path="/echo/")
        return self.receive(json=False)

    def receive(self, json=True):
        self.asked = getattr(self, "asked", 0) + 1
        return super().receive(json=json)


class Clients(ChannelTestCase):
    def test_a_subclass(self):
        client = OwnClient()
        self.assertEqual(client.say("hello"), "hello")
        self.assertEqual(client.asked, 1)

    def test_http_client(self):
        """The deprecated name, with a session and cookies."""
        user = get_user_model().objects.create_user("ann")
        client = HttpClient()
        client.force_login(user)
        client.session["flavour"] = "mint"
        client.session.save()
        client.set_cookie("taste", "sweet")
        client.send_and_consume("websocket.connect", path="/rooms/lobby/")
        self.assertEqual(client.receive(json=False), "ann joined")

    def test_consume_twice(self):
        """``send`` and ``consume`` apart."""
        client = Client()
        client.send("game.event", {"event": "won"})
        client.send("game.event", {"event": "lost"})
        client.consume("game.event")
        client.consume("game.event")
        self.assertEqual([client.receive(), client.receive()], [{"text": "won"}, {"text": "lost"}])


class Mixed(ChannelTestCaseMixin, TestCase):
    """A case of one's own from the mixin."""

    def test_the_layer_is_fresh(self):
        Channel("mixed").send({"a": 1})
        self.assertEqual(self.get_next_message("mixed", require=True)["a"], 1)


class WithTransactions(TransactionChannelTestCase):
    def test_the_layer_is_fresh(self):
        Channel("mixed").send({"a": 1})
        self.assertEqual(self.get_next_message("mixed", require=True)["a"], 1)


class Old(OldSpelling):
    def test_the_old_module(self):
        Channel("old").send({"a": 1})
        self.assertEqual(self.get_next_message("old", require=True)["a"], 1)


class TwoAliases(ChannelTestCase):
    test_channel_aliases = ["default", "redis"]

    def test_both_are_swapped(self):
        """Routing of the second layer, on a layer in memory."""
        self.assertTrue(channel_layers["redis"].local_only())
        client = Client(alias="redis")
        client.send_and_consume("orders.new", {"what": "tea"})
        self.assertEqual(self.get_next_message(client.reply_channel, alias="redis")["text"], "ordered tea")
