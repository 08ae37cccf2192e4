"""Class-based consumers, demultiplexer and multiplexer, data binding."""

import json

from channels import Group
from channels.binding.base import CREATE, DELETE, UPDATE, BindingMetaclass
from channels.binding.websockets import WebsocketBinding
from channels.exceptions import SendNotAvailableOnDemultiplexer
from channels.generic.websockets import JsonWebsocketConsumer, WebsocketDemultiplexer, WebsocketMultiplexer
from channels.routing import route, route_class
from channels.test import ChannelTestCase, Client, WSClient, apply_routes

from .consumers import Demultiplexer, Shouting, Talker
from .models import Note, NoteBinding


class Classes(ChannelTestCase):
    def test_groups_attribute(self):
        """``groups`` are joined on connect and left on disconnect."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/lines/")
        client.send_and_consume("websocket.receive", text={"line": "a"}, path="/lines/")
        self.assertEqual(client.receive(), {"line": "a"})
        client.send_and_consume("websocket.disconnect", path="/lines/")
        Group("lines").send({"text": "{}"})
        self.assertIsNone(client.receive())

    def test_connection_groups_by_path(self):
        """``connection_groups`` gets the arguments of the route."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/feed/news/", check_accept=False)
        self.assertEqual(client.receive(), {"close": True})
        Group("feed-news").send({"text": "{}"})
        self.assertEqual(client.receive(), {})

    def test_base_consumer(self):
        """``BaseConsumer`` with a mapping of the project's own channels; the client returns the instance."""
        client = Client()
        made = client.send_and_consume("worker.start")
        self.assertEqual(made.state, "started")
        self.assertEqual(client.receive(), {"state": "started"})
        client.send_and_consume("worker.stop")
        self.assertEqual(client.receive(), {"state": "stopped"})

    def test_overridden_json(self):
        """``encode_json`` and ``decode_json`` of a class."""

        class Reversed(JsonWebsocketConsumer):
            @classmethod
            def decode_json(cls, text):
                return json.loads(text[::-1])

            @classmethod
            def encode_json(cls, content):
                return json.dumps(content)[::-1]

            def receive(self, content, **kwargs):
                self.send(content)

        with apply_routes([route_class(Reversed)]):
            client = WSClient()
            client.send_and_consume("websocket.receive", text='{"a": 1}'[::-1])
            self.assertEqual(client.receive(json=False), '{"a": 1}'[::-1])


class Multiplexed(ChannelTestCase):
    def test_streams(self):
        client = connected()
        client.send_and_consume(
            "websocket.receive", text={"stream": "talk", "payload": {"say": "hi"}}, path="/streams/7/"
        )
        self.assertEqual(client.receive(), {"stream": "talk", "payload": {"echo": "hi", "id": "7"}})

    def test_send_is_not_available(self):
        """``self.send`` of a consumer inside a demultiplexer."""
        client = connected()
        frame = {"stream": "mistaken", "payload": {}}
        with self.assertRaises(SendNotAvailableOnDemultiplexer):
            client.send_and_consume("websocket.receive", text=frame, path="/streams/7/")

    def test_group_send(self):
        """``WebsocketMultiplexer.group_send`` from a model or a view."""
        client = WSClient()
        client.join_group("notes")
        WebsocketMultiplexer.group_send("notes", "notes", {"a": 1})
        self.assertEqual(client.receive(), {"stream": "notes", "payload": {"a": 1}})

    def test_a_multiplexer_subclass(self):
        """``multiplexer_class`` with its own ``encode_json``."""

        class Loud(WebsocketDemultiplexer):
            consumers = {"talk": Talker}
            multiplexer_class = Shouting

        with apply_routes([Loud.as_route(path="^/(?P<id>[0-9])/$")]):
            client = WSClient()
            client.send_and_consume("websocket.receive", text={"stream": "talk", "payload": {"say": "hi"}}, path="/1/")
            self.assertEqual(client.receive()["PAYLOAD"], {"ECHO": "HI", "ID": "1"})

    def test_route_arguments_are_kept(self):
        client = connected()
        made = client.send_and_consume(
            "websocket.receive", text={"stream": "talk", "payload": {"say": "x"}}, path="/streams/7/"
        )
        self.assertIsInstance(made, Demultiplexer)
        self.assertEqual(made.kwargs["id"], "7")


class Bound(ChannelTestCase):
    def test_outbound(self):
        """Create, update and delete, with the fields of the binding."""
        client = WSClient()
        client.join_group("notes")
        note = Note.objects.create(text="a", secret="b")
        self.assertEqual(payload(client), {"action": CREATE, "pk": 1, "data": {"text": "a"}, "model": "idioms.note"})
        note.text = "c"
        note.save()
        self.assertEqual(payload(client)["action"], UPDATE)
        note.delete()
        self.assertEqual(payload(client)["action"], DELETE)

    def test_inbound(self):
        """By the demultiplexer: the payload is the action."""
        client = connected()
        self.act(client, {"action": "create", "data": {"text": "made"}})
        note = Note.objects.get()
        self.act(client, {"action": "update", "pk": str(note.pk), "data": {"text": "changed", "secret": "no"}})
        note.refresh_from_db()
        self.assertEqual((note.text, note.secret), ("changed", ""))
        self.act(client, {"action": "delete", "pk": str(note.pk)})
        self.assertFalse(Note.objects.exists())

    def test_consumer_as_a_route(self):
        """``Binding.consumer`` without a demultiplexer."""
        with apply_routes([route("websocket.receive", NoteBinding.consumer)]):
            WSClient().send_and_consume(
                "websocket.receive", text={"action": "create", "pk": None, "data": {"text": "made"}}
            )
        self.assertEqual(Note.objects.get().text, "made")

    def test_registration(self):
        """``BindingMetaclass`` collects the classes; one without fields is refused."""
        self.assertIn(NoteBinding, BindingMetaclass.binding_classes)
        with self.assertRaises(ValueError):

            class WithoutFields(WebsocketBinding):
                model = Note
                stream = "x"

    def act(self, client, action):
        client.send_and_consume("websocket.receive", text={"stream": "notes", "payload": action}, path="/streams/7/")
        while client.receive():  # in the group, it gets its own changes back
            pass


def connected():
    client = WSClient()
    client.send_and_consume("websocket.connect", path="/streams/7/")
    while client.receive():  # each consumer of the demultiplexer accepts once more (GN-27)
        pass
    return client


def payload(client):
    frame = client.receive()
    assert frame["stream"] == "notes"
    return frame["payload"]
