"""Groups, channels, and sends from models, signals and views."""

import json

from channels import Channel, Group, channel_layers
from channels.message import Message
from channels.test import ChannelTestCase, WSClient
from django.contrib.auth import get_user_model
from django.test import Client as DjangoClient

from .consumers import Lines
from .models import Note, Ticket


class Groups(ChannelTestCase):
    def test_who_announces_before_adding_hears_it(self):
        """Group.add and discard act at once, sends wait for the end of the consumer."""
        one, other = self.in_room("ann"), self.in_room("ben")
        self.assertEqual(one.receive(json=False), "ann joined")
        self.assertEqual(one.receive(json=False), "ben joined")
        self.assertEqual(other.receive(json=False), "ben joined")
        other.send_and_consume("websocket.disconnect", path="/rooms/lobby/")
        self.assertEqual(one.receive(json=False), "ben left")
        self.assertIsNone(other.receive())

    def test_add_by_name(self):
        """``Group.add`` and ``discard`` take a name as well as a Channel."""
        Group("names").add("someone")
        Group("names").add(Channel("else"))
        Group("names").send({"text": "hello"})
        self.assertEqual(self.get_next_message("someone", require=True)["text"], "hello")
        self.assertEqual(self.get_next_message("else", require=True)["text"], "hello")
        Group("names").discard("someone")
        Group("names").send({"text": "again"})
        self.assertIsNone(self.get_next_message("someone"))

    def test_explicit_layer(self):
        """``Group(..., channel_layer=message.channel_layer)``."""
        message = Message({"reply_channel": "someone"}, "websocket.connect", channel_layers["default"])
        Group("explicit", channel_layer=message.channel_layer).add(message.reply_channel)
        Group("explicit", channel_layer=message.channel_layer).send({"text": "here"})
        self.assertEqual(self.get_next_message("someone", require=True)["text"], "here")

    def test_group_channels(self):
        """``channel_layer.group_channels(name)`` counts who is there."""
        Group("counted").add("one")
        Group("counted").add("two")
        layer = Group("counted").channel_layer
        self.assertEqual(sorted(layer.group_channels("counted")), ["one", "two"])

    def test_group_send_class_method(self):
        """``group_send`` from anywhere."""
        client = WSClient()
        client.join_group("lines")
        Lines.tell_all("first")
        Lines.group_send("lines", {"line": "second"}, close=True)
        self.assertEqual(client.receive(), {"line": "first"})
        self.assertEqual(json.loads(self.text(client)), {"line": "second"})

    def text(self, client):
        return client.receive(json=False)

    def in_room(self, name):
        client = WSClient()
        client.force_login(get_user_model().objects.create_user(name))
        client.send_and_consume("websocket.connect", path="/rooms/lobby/")
        return client


class FromModels(ChannelTestCase):
    def test_send_from_save(self):
        """A model sends to its group from ``save()``."""
        ticket = Ticket.objects.create(title="A")
        ticket.group.add("reader")
        ticket.status = "open"
        ticket.save()
        message = self.get_next_message("reader", require=True)
        self.assertEqual(json.loads(message["text"]), {"ticket": ticket.pk, "status": "open"})

    def test_post_save_and_on_commit(self):
        """A signal sends when the transaction commits, and not before."""
        Group("committed").add("reader")
        with self.captureOnCommitCallbacks() as callbacks:
            Note.objects.create(text="kept")
        self.assertIsNone(self.get_next_message("reader"))
        callbacks[-1]()
        self.assertEqual(self.get_next_message("reader", require=True)["text"], "kept")

    def test_post_delete(self):
        """A signal sends immediately."""
        Group("deleted").add("reader")
        Note.objects.create(text="gone").delete()
        self.assertEqual(self.get_next_message("reader", require=True)["text"], "gone")

    def test_send_from_a_view(self):
        """Classes and ``get_channel_layer()`` work in a view; nothing waits there."""
        Group("announcements").add("reader")
        DjangoClient().get("/announce/")
        self.assertEqual(self.get_next_message("reader", require=True)["text"], "from a view")
        self.assertEqual(self.get_next_message("thumbnails.make", require=True)["id"], 7)


class ReplyChannels(ChannelTestCase):
    def test_a_channel_in_a_text_column(self):
        """A Channel object saved in a text column turns into its name."""
        message = Message({"reply_channel": "someone!here"}, "websocket.connect", channel_layers["default"])
        ticket = Ticket.objects.create(title="A", reply_channel=message.reply_channel)
        ticket.refresh_from_db()
        self.assertEqual(ticket.reply_channel, "someone!here")
        self.assertEqual(Ticket.objects.get(reply_channel=message.reply_channel), ticket)

    def test_send_to_a_stored_name(self):
        """``Channel(name).send`` to a reply channel that was stored."""
        client = WSClient()
        ticket = Ticket.objects.create(title="A", reply_channel=client.reply_channel)
        ticket.tell("ready")
        self.assertEqual(client.receive(json=False), "ready")

    def test_immediately_from_another_consumer(self):
        """A consumer of a custom channel tells the socket whose name was stored, with ``immediately=True``."""
        client = WSClient()
        ticket = Ticket.objects.create(title="cat", reply_channel=client.reply_channel)
        Channel("thumbnails.make").send({"id": ticket.pk})
        client.consume("thumbnails.make")
        self.assertEqual(client.receive(json=False), "thumbnail cat")

    def test_a_name_goes_through_json(self):
        """``reply_channel.name`` in another message."""
        client = WSClient()
        client.send_and_consume("chat.receive", {"command": "join"})
        self.assertEqual(client.receive(), {"joined": "chat"})
        client.send_and_consume("chat.receive", {"command": "say", "room": "chat", "text": "hi"})
        self.assertEqual(client.receive(json=False), "hi")
