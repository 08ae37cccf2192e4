"""Routing: functions, strings, includes, dicts, classes, filters on any key."""

import json

from channels import Channel, Group, include, route, route_class
from channels.message import Message
from channels.routing import Include, Route, Router, null_consumer
from channels.test import ChannelTestCase, Client, WSClient, apply_routes
from django.contrib.auth import get_user_model

from . import consumers


def found(router, channel, **content):
    return router.match(Message(content, channel, None))


class Routing(ChannelTestCase):
    def test_functions_and_path_arguments(self):
        """Named groups of ``path`` are arguments of a plain function."""
        client = WSClient()
        client.force_login(get_user_model().objects.create_user("ann"))
        client.send_and_consume("websocket.connect", path="/rooms/lobby/")
        client.receive(json=False)
        client.send_and_consume("websocket.receive", text="hello", path="/rooms/lobby/")
        self.assertEqual(client.receive(json=False), "ann: hello")

    def test_dotted_strings(self):
        """A consumer named by a string is the function itself."""
        router = Router("project.routing.channel_routing")
        self.assertEqual(
            found(router, "websocket.receive", path="/rooms/lobby/"), (consumers.ws_receive, {"room": "lobby"})
        )

    def test_dict_routing(self):
        """A dict of channel: consumer, by a string."""
        router = Router("project.routing.dict_routing")
        self.assertEqual(found(router, "orders.new", what="tea"), (consumers.order, {}))
        self.assertEqual(found(router, "ignored"), (null_consumer, {}))

    def test_other_keys(self):
        """Routes on ``command`` and ``event``, in an include without a prefix."""
        client = Client()
        client.send_and_consume("game.event", {"event": "won"})
        self.assertEqual(client.receive(), {"text": "won"})
        self.assertIsNone(client.send_and_consume("game.event", {"event": "drawn"}, fail_on_none=False))

    def test_nested_includes(self):
        """Prefixes are cut off, at each level."""
        inner = [route("websocket.connect", consumers.refuse, path=r"^/(?P<room>[a-z]+)/$")]
        router = Router([include([include(inner, path=r"^/chat")], path=r"^/ws/v(?P<version>[0-9]+)")])
        self.assertEqual(
            found(router, "websocket.connect", path="/ws/v2/chat/lobby/"),
            (consumers.refuse, {"version": "2", "room": "lobby"}),
        )

    def test_route_class_and_as_route(self):
        """A class by ``route_class``, by ``as_route`` with filters, and with attributes of its own."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/echo/")
        client.send_and_consume("websocket.receive", text="hello", path="/echo/")
        self.assertEqual(client.receive(json=False), "hello")
        ordered = consumers.Lines.as_route(attrs={"strict_ordering": True}, path="^/ordered/$")
        self.assertTrue(issubclass(ordered.consumer, consumers.Lines))
        self.assertTrue(ordered.consumer.strict_ordering)
        self.assertFalse(consumers.Lines.strict_ordering)
        self.assertIs(consumers.Lines.as_route().consumer, consumers.Lines)

    def test_internal_channels(self):
        """``Channel("x").send`` to a consumer of the project's own channel."""
        Channel("game.event").send({"event": "lost", "reply_channel": "player"})
        Client().consume("game.event")
        self.assertEqual(self.get_next_message("player", require=True)["text"], "lost")

    def test_apply_routes(self):
        """Routing of the test's own, as a context and as a decorator."""
        client = WSClient()
        with apply_routes([route("websocket.connect", consumers.refuse)]):
            client.send_and_consume("websocket.connect", path="/nowhere/", check_accept=False)
        self.assertEqual(client.receive(), {"accept": False})
        self.decorated()

    @apply_routes([route_class(consumers.OwnMapping)])
    def decorated(self):
        client = Client()
        made = client.send_and_consume("worker.start")
        self.assertIsInstance(made, consumers.OwnMapping)
        self.assertEqual(made.state, "started")
        self.assertEqual(client.receive(), {"state": "started"})


class VersionedRoute(Route):
    """A route that also looks at the message itself."""

    def match(self, message):
        matched = super().match(message)
        if matched is None or message.get("version") != 2:
            return None
        return matched[0], dict(matched[1], version=2)


class Prefixed(Include):
    def match(self, message):
        if message.get("tenant") is None:
            return None
        return super().match(message)


class Patched(ChannelTestCase):
    """Subclassed and patched routers, routes, groups, channels."""

    def test_route_subclass(self):
        seen = []
        routes = [
            VersionedRoute("jobs", lambda message, **kwargs: seen.append(kwargs), name="(?P<name>.+)"),
            route("jobs", lambda message: seen.append("old")),
        ]
        with apply_routes(routes):
            client = Client()
            client.send_and_consume("jobs", {"name": "a", "version": 2})
            client.send_and_consume("jobs", {"name": "b"})
        self.assertEqual(seen, [{"name": "a", "version": 2}, "old"])

    def test_include_subclass(self):
        router = Router([Prefixed([route("jobs", consumers.order)]), route("jobs", null_consumer)])
        self.assertIs(found(router, "jobs", tenant="t")[0], consumers.order)
        self.assertIs(found(router, "jobs")[0], null_consumer)

    def test_router_match_patched(self):
        """``Router.match`` replaced on the class, as middleware did it."""
        original, seen = Router.match, []

        def match(self, message):
            seen.append(message.channel.name)
            return original(self, message)

        Router.match = match
        try:
            client = Client()
            client.send_and_consume("game.event", {"event": "won"})
        finally:
            Router.match = original
        self.assertEqual(seen, ["game.event"])
        self.assertEqual(client.receive(), {"text": "won"})

    def test_group_subclass(self):
        class JsonGroup(Group):
            def send(self, content, immediately=False):
                super().send({"text": json.dumps(content)}, immediately=immediately)

        JsonGroup("json").add("reader")
        JsonGroup("json").send({"a": 1})
        self.assertEqual(self.get_next_message("reader", require=True)["text"], '{"a": 1}')

    def test_channel_subclass(self):
        class Counting(Channel):
            sent = 0

            def send(self, content, immediately=False):
                type(self).sent += 1
                super().send(content, immediately)

        def consumer(message):
            Counting("reader").send({"n": 1})

        with apply_routes([route("jobs", consumer)]):
            Client().send_and_consume("jobs")
        self.assertGreaterEqual(Counting.sent, 1)
        self.assertEqual(self.get_next_message("reader", require=True)["n"], 1)

    def test_channel_send_patched(self):
        """``Channel.send`` replaced on the class: what every consumer sends passes it."""
        original, seen = Channel.send, []

        def send(self, content, immediately=False):
            seen.append((self.name, content))
            original(self, content, immediately)

        Channel.send = send
        try:
            client = Client()
            client.send_and_consume("game.event", {"event": "won"})
        finally:
            Channel.send = original
        self.assertIn((client.reply_channel, {"text": "won"}), seen)
        self.assertEqual(client.receive(), {"text": "won"})
