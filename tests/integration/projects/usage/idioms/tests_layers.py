"""The layers: a class of the project's own on Redis, receive loops, full channels, threads and forks."""

import os
import threading
import time
import warnings

import asgi_redis
from asgiref.inmemory import ChannelLayer
from channels import DEFAULT_CHANNEL_LAYER, Channel, Group
from channels.asgi import InvalidChannelLayerError, channel_layers, get_channel_layer
from channels.message import Message
from channels.routing import Router
from channels.test import use_test_config
from django.conf import settings
from django.test import TestCase, override_settings

from project.layer import MarkingLayer

PATIENCE = 10


def take(layer, channels, wanted=1):
    """The loop of many a command: receive until all is there."""
    found, deadline = [], time.monotonic() + PATIENCE
    while len(found) < wanted and time.monotonic() < deadline:
        channel, content = layer.receive(channels)
        if channel is None:
            time.sleep(0.01)
        else:
            found.append((channel, content))
    return found


class OnRedis(TestCase):
    def setUp(self):
        asked = use_test_config()
        asked.__enter__()
        self.addCleanup(asked.__exit__, None, None, None)
        self.layer = channel_layers["redis"]

    def test_the_layer_of_the_settings(self):
        """BACKEND names a subclass of ``asgi_redis.RedisChannelLayer``, and it is what sends."""
        inner = self.layer.channel_layer
        self.assertIsInstance(inner, MarkingLayer)
        self.assertIsInstance(inner, asgi_redis.RedisChannelLayer)
        Channel("marked.own", alias="redis").send({"a": 1})
        self.assertIn("marked.own", inner.sent)
        self.assertEqual(take(self.layer, ["marked.own"]), [("marked.own", {"a": 1, "marked": True})])
        self.assertEqual(str(self.layer), "redis (project.layer.MarkingLayer)")
        self.assertFalse(self.layer.local_only())

    def test_get_channel_layer_by_alias(self):
        """By name, from anywhere."""
        get_channel_layer("redis").send("by.alias", {"a": 1})
        self.assertEqual(take(self.layer, ["by.alias"])[0][1]["a"], 1)

    def test_receive_loop(self):
        """``channel_layer.receive([...])`` gives a name and a content, or two Nones."""
        self.assertEqual(self.layer.receive(["empty.one"]), (None, None))
        for number in range(3):
            self.layer.send("loop.a", {"n": number})
        self.assertEqual([content["n"] for _, content in take(self.layer, ["loop.a", "loop.b"], 3)], [0, 1, 2])

    def test_receive_many(self):
        """The older name, which waits with ``block=True``."""
        self.layer.send("many", {"n": 1})
        channel, content = self.layer.receive_many(["many"], block=True)
        self.assertEqual((channel, content["n"]), ("many", 1))

    def test_channel_full(self):
        """``ChannelFull`` of the layer, with ``immediately=True``, in a loop that tries again."""
        channel = Channel("small", alias="redis")
        for number in range(3):
            channel.send({"n": number})
        with self.assertRaises(self.layer.ChannelFull):
            channel.send({"n": 3}, immediately=True)
        take(self.layer, ["small"])
        channel.send({"n": 3}, immediately=True)
        self.assertEqual([content["n"] for _, content in take(self.layer, ["small"], 3)], [1, 2, 3])

    def test_channel_capacity_globs(self):
        """``channel_capacity`` by pattern."""
        for number in range(20):
            self.layer.send("roomy.one", {"n": number})
        with self.assertRaises(self.layer.ChannelFull):
            self.layer.send("roomy.one", {"n": 20})

    def test_group_on_redis(self):
        """Explicit ``channel_layer=`` and ``alias=``, ``group_channels`` and ``send_group``."""
        Group("g", channel_layer=self.layer).add("g.one")
        Group("g", alias="redis").add(Channel("g.two", alias="redis"))
        self.assertEqual(sorted(self.layer.group_channels("g")), ["g.one", "g.two"])
        self.layer.send_group("g", {"n": 1})
        self.assertEqual({name for name, _ in take(self.layer, ["g.one", "g.two"], 2)}, {"g.one", "g.two"})

    def test_dict_routing_of_the_layer(self):
        """``channel_layers[alias].router`` over a dict."""
        matched = self.layer.router.match(Message({"what": "tea"}, "orders.new", self.layer))
        self.assertEqual(matched[0].__name__, "order")

    def test_from_threads(self):
        """A send from threads, as background jobs do it."""

        def work(number):
            Group("jobs", alias="redis").send({"n": number})

        Group("jobs", alias="redis").add("roomy.jobs")
        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({content["n"] for _, content in take(self.layer, ["roomy.jobs"], 5)}, set(range(5)))

    def test_from_forks(self):
        """A prefork worker: the layer was used before the fork, and is used in the children."""
        self.layer.send("roomy.fork", {"n": "parent"})
        children = []
        for number in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: this process has threads
                child = os.fork()
            if not child:
                code = 1
                try:
                    Channel("roomy.fork", alias="redis").send({"n": number})
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        self.assertEqual([os.waitpid(child, 0)[1] for child in children], [0, 0, 0])
        found = [content["n"] for _, content in take(self.layer, ["roomy.fork"], 4)]
        self.assertEqual(set(found), {"parent", 0, 1, 2})

    def test_new_channel(self):
        """A reply channel made by hand."""
        name = self.layer.new_channel("job.reply?")
        self.layer.send(name, {"done": True})
        self.assertEqual(take(self.layer, [name])[0][0], name)

    def test_extensions(self):
        self.assertIn("groups", self.layer.extensions)
        self.assertIn("flush", self.layer.extensions)


class NotOnRedis(TestCase):
    def test_a_layer_in_memory(self):
        """Without ``use_test_config`` a test has the layer in memory, with the capacities of the settings."""
        layer = channel_layers["redis"]
        self.assertTrue(layer.local_only())
        for number in range(3):
            layer.send("small", {"n": number})
        with self.assertRaises(layer.ChannelFull):
            layer.send("small", {"n": 3})


class InMemory(TestCase):
    def test_a_layer_made_by_hand(self):
        layer = ChannelLayer(expiry=100, capacity=2)
        layer.send("x", {"a": 1})
        self.assertEqual(layer.receive(["x"]), ("x", {"a": 1}))
        self.assertEqual(layer.receive(["x"]), (None, None))

    def test_a_subclass(self):
        class Counting(ChannelLayer):
            count = 0

            def send(self, channel, message):
                self.count += 1
                super().send(channel, message)

        layer = Counting()
        Channel("x", channel_layer=layer).send({"a": 1})
        self.assertEqual((layer.count, layer.receive(["x"])[1]), (1, {"a": 1}))

    def test_channel_full(self):
        layer = ChannelLayer(capacity=1)
        layer.send("x", {})
        with self.assertRaises(layer.ChannelFull):
            layer.send("x", {})
        with self.assertRaises(ChannelLayer.ChannelFull):
            layer.send("x", {})

    def test_swapped_by_hand(self):
        """``channel_layers.set`` gives back the one that was there."""
        wrapper = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
        previous = channel_layers.set(DEFAULT_CHANNEL_LAYER, wrapper)
        try:
            self.assertIs(channel_layers[DEFAULT_CHANNEL_LAYER], wrapper)
        finally:
            self.assertIs(channel_layers.set(DEFAULT_CHANNEL_LAYER, previous), wrapper)

    def test_router_replaced(self):
        """The router of a configured layer, replaced by a test."""
        wrapper = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
        wrapper.router = Router([])
        self.assertIsNone(wrapper.router.match(Message({}, "x", None)))

    def test_a_send_replaced(self):
        """``layer.send`` replaced on the object: what consumers send comes by."""
        wrapper, seen = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER), []
        wrapper.send = lambda channel, content: seen.append((channel, content))
        Channel("x", channel_layer=wrapper).send({"a": 1})
        self.assertEqual(seen, [("x", {"a": 1})])


class Configured(TestCase):
    def hosts(self, *hosts, **config):
        config["hosts"] = list(hosts)
        layers = {
            "default": {
                "BACKEND": "asgi_redis.RedisChannelLayer",
                "CONFIG": config,
                "ROUTING": "project.routing.dict_routing",
            }
        }
        with override_settings(CHANNEL_LAYERS=layers):
            return channel_layers.make_backend("default")

    def test_hosts_as_urls(self):
        layer = self.hosts("redis://127.0.0.1:%s" % settings.REDIS_PORT)
        layer.send("by.url", {"a": 1})
        self.assertEqual(take(layer, ["by.url"]), [("by.url", {"a": 1})])

    def test_hosts_as_tuples(self):
        layer = self.hosts(("127.0.0.1", settings.REDIS_PORT), ("localhost", settings.REDIS_PORT))
        layer.send("by.tuple", {"a": 1})
        self.assertEqual(take(layer, ["by.tuple"]), [("by.tuple", {"a": 1})])

    def test_a_host_that_is_none(self):
        """A missing environment variable is named as such."""
        with self.assertRaisesMessage(InvalidChannelLayerError, "environment variable"):
            self.hosts(None)

    def test_big_capacity(self):
        """Capacities as projects write them."""
        layer = self.hosts("redis://127.0.0.1:%s" % settings.REDIS_PORT, capacity=10**9, expiry=10, prefix="big:")
        layer.send("big", {"a": 1})
        self.assertEqual(take(layer, ["big"]), [("big", {"a": 1})])

    def test_without_config(self):
        """No CONFIG at all, on either layer."""
        for backend in ("asgi_redis.RedisChannelLayer", "asgiref.inmemory.ChannelLayer"):
            layers = {"default": {"BACKEND": backend, "ROUTING": "project.routing.channel_routing"}}
            with override_settings(CHANNEL_LAYERS=layers):
                self.assertTrue(callable(channel_layers.make_backend("default").send))

    def test_routing_as_a_list(self):
        from channels import route
        from channels.routing import null_consumer

        layers = {"default": {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": [route("x", null_consumer)]}}
        with override_settings(CHANNEL_LAYERS=layers):
            self.assertIn("x", channel_layers.make_backend("default").router.channels)
