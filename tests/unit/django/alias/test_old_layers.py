"""The 1.x face of a configured layer: a class to subclass and to make, and what asgi_redis had beside it."""

from __future__ import annotations

import copy
import secrets
from typing import Any, ClassVar
from unittest import mock

import pytest
from django.test import override_settings

from routechan import Channel, Group, route
from routechan.exceptions import ChannelFull
from routechan.layers import InMemoryChannelLayer
from routechan.layers import channel_layers as process_layers
from routechan_django.alias import old_layers
from routechan_django.asgi import ChannelLayerManager, ChannelLayerWrapper
from routechan_django.test import ChannelTestCase, Client, base
from routechan_django.test.layers import fresh_layers
from tests.redis_servers import ClusterServers, SentinelServers, ShardServers, SingleServer, shared

ROUTES = [route("x", lambda message: Channel("y").send({"n": message["n"]}))]


def wrapped(backend: str, **config: Any) -> ChannelLayerWrapper:
    """The layer of an entry of CHANNEL_LAYERS."""
    entry = {"BACKEND": backend, "ROUTING": ROUTES, "TEST_CONFIG": config}
    with override_settings(CHANNEL_LAYERS={"default": entry}):
        return ChannelLayerManager().make_test_backend("default")


@pytest.fixture(params=["routechan.layers", "1.x"])
def spelling(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest, spelling: str) -> tuple[str, dict[str, Any]]:
    """BACKEND and CONFIG, in both spellings."""
    if request.param == "memory":
        ours = spelling == "routechan.layers"
        return "routechan.layers.InMemoryChannelLayer" if ours else "asgiref.inmemory.ChannelLayer", {"capacity": 3}
    port = shared(request.config, SingleServer).port
    config = {"hosts": [("127.0.0.1", port)], "prefix": secrets.token_hex(6), "capacity": 3, "expiry": 20}
    return f"{spelling if spelling != '1.x' else 'asgi_redis'}.RedisChannelLayer", config


def test_its_class_can_be_subclassed_and_made(backend: tuple[str, dict[str, Any]]) -> None:
    """LM-09, LM-10, ST-04: ``type(layer.channel_layer)`` takes CONFIG; sends go through what a subclass overrides."""
    path, config = backend
    layer = wrapped(path, **config)
    kind: Any = type(layer.channel_layer)
    sent = []

    class Counting(kind):  # type: ignore[misc]
        def send(self, channel: str, message: dict[str, Any]) -> None:
            sent.append(channel)
            super().send(channel, message)

        def refused(self) -> str:
            return "my own"

    again = kind(**config)
    assert (type(again), again.capacity, again.expiry) == (kind, 3, layer.expiry)
    own = ChannelLayerWrapper(Counting(**config), "default", ROUTES)
    with process_layers.override("default", own):
        client = Client()
        client.send("x", {"n": 1})
        client.consume("x")
        message = client.get_next_message("y")
        assert message is not None
        assert message["n"] == 1
        assert sent == ["x", "y"]
        for number in range(3):
            own.send("z", {"n": number})
        with pytest.raises(kind.ChannelFull):
            own.send("z", {})
        assert own.refused() == "my own"
        assert str(own).endswith(".Counting)")
    for made in (layer, own, again):
        made.layer.close()


def test_sends_meet_what_a_test_sets_on_it(backend: tuple[str, dict[str, Any]]) -> None:
    """LM-10: a method replaced on the inner layer is called, until it is put back."""
    path, config = backend
    layer = wrapped(path, **config)
    with process_layers.override("default", layer):
        with mock.patch.object(layer.channel_layer, "send", side_effect=ChannelFull("full")) as send:
            with pytest.raises(layer.ChannelFull):
                Channel("x").send({})
            send.assert_called_once_with("x", {})
        with mock.patch.object(layer.channel_layer, "send_group") as send_group:
            Group("g").send({"n": 1})
            send_group.assert_called_once_with("g", {"n": 1})
        with mock.patch.object(type(layer.channel_layer), "send") as send:  # as "asgi_redis.RedisChannelLayer.send"
            Channel("x").send({"n": 3})
            send.assert_called_once_with("x", {"n": 3})
        Channel("x").send({"n": 2})
        assert layer.receive(["x"]) == ("x", {"n": 2})
    layer.layer.close()


def test_whether_it_is_local() -> None:
    """LM-12 (test_management): a subclass in a module without ``inmemory`` in its name counts as one that crosses."""

    class Elsewhere(old_layers.ChannelLayer):
        pass

    class Local(old_layers.ChannelLayer):
        crosses_processes = False

    for made, local in (old_layers.ChannelLayer, True), (Elsewhere, False), (Local, True):
        assert ChannelLayerWrapper(made(), "default", []).local_only() is local
    assert wrapped("asgiref.inmemory.ChannelLayer").local_only()
    assert not wrapped("asgi_redis.RedisChannelLayer").local_only()


def test_unknown_attributes() -> None:
    """LM-10: they are asked of the inner layer; an error says of what, and a copy or a mock works."""
    layer = wrapped("asgiref.inmemory.ChannelLayer")
    assert layer.get_capacity("x") == 100
    layer.channel_layer.anything = 5  # type: ignore[attr-defined]
    assert layer.anything == 5
    with pytest.raises(AttributeError, match=r"layer default \(.*InMemoryChannelLayer\) has no attribute 'no'"):
        print(layer.no)
    assert not hasattr(layer, "__no__")
    assert not hasattr(object.__new__(ChannelLayerWrapper), "no")
    assert copy.copy(layer).anything == 5
    assert mock.Mock(spec=layer).send
    assert Channel("x", channel_layer=layer).channel_layer is layer


def test_in_memory_in_place_of_redis() -> None:
    """ST-04, TC-02: in a test the class of the inner layer takes the CONFIG of the Redis layer it stands for."""
    config = {"hosts": [("localhost", 1)], "prefix": "x", "capacity": 1, "symmetric_encryption_keys": ["x"]}
    entry = {"BACKEND": "asgi_redis.RedisChannelLayer", "ROUTING": ROUTES, "CONFIG": config}
    with override_settings(CHANNEL_LAYERS={"default": entry}), fresh_layers(["default"]) as layers:
        inner = layers["default"].channel_layer
        for made in (type(inner)(**config), type(inner)(30, [("localhost", 1)], "x", capacity=1)):
            made.send("x", {"n": 1})
            with pytest.raises(made.ChannelFull):
                made.send("x", {"n": 2})
        assert layers["default"].local_only()
        assert isinstance(inner, old_layers.ChannelLayer)


class Foreign:
    """A layer of another make: what 1.x asked of one, and no more (LM-14)."""

    ChannelFull = ChannelFull
    extensions: ClassVar[list[str]] = ["groups"]

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, channel: str, message: dict[str, Any]) -> None:
        self.sent.append((channel, message))

    def receive_many(self, channels: list[str], block: bool = False) -> tuple[str | None, dict[str, Any] | None]:
        for place, (channel, _) in enumerate(self.sent):
            if channel in channels:
                return self.sent.pop(place)
        return None, None


def test_a_layer_of_another_make_in_the_wrapper() -> None:
    """LM-09, LM-12, LM-14: tests of 1.x put a fake behind the wrapper; consumers run over it."""
    layer = ChannelLayerWrapper(channel_layer=Foreign(), alias="default", routing=ROUTES)
    with process_layers.override("default", layer):
        Client().send_and_consume("x", {"n": 1})
        assert layer.sent == [("y", {"n": 1})]
        assert layer.receive_many(["y"]) == ("y", {"n": 1})
        assert layer.receive_many(["y"]) == layer.receive(["y"]) == (None, None)
    assert str(layer) == f"default ({__name__}.Foreign)"
    assert not layer.local_only()
    assert (layer.expiry, layer.capacity) == (60, 100)


def test_a_layer_itself_in_the_wrapper() -> None:
    """LM-09: ``channels.test.base.InMemoryChannelLayer`` is the class that 1.x had there; a layer of ours works too."""
    for made in (base.InMemoryChannelLayer(capacity=1), InMemoryChannelLayer(capacity=1)):
        layer = ChannelLayerWrapper(made, "default", [])
        layer.send("x", {"n": 1})
        with pytest.raises(layer.ChannelFull):
            layer.send("x", {"n": 2})
        assert layer.receive_many(["x"]) == ("x", {"n": 1})
    assert base.InMemoryChannelLayer is old_layers.ChannelLayer


class FreshLayer(ChannelTestCase):
    def test_its_class(self) -> None:
        """TC-02: in a test case the inner layer is the in-memory one, and can be made again."""
        inner = process_layers["default"].channel_layer  # type: ignore[attr-defined]
        assert type(inner) is old_layers.ChannelLayer
        assert type(inner)(capacity=1).capacity == 1


def test_its_servers(pytestconfig: pytest.Config) -> None:
    """3.1, 3.4: ``hosts``, ``prefix``, ``connection(i)``, ``_connection_list``, for keys of the project's own."""
    port, prefix = shared(pytestconfig, SingleServer).port, secrets.token_hex(6)
    for backend in ("asgi_redis.RedisChannelLayer", "routechan.layers.RedisChannelLayer"):
        layer: Any = wrapped(backend, hosts=[("127.0.0.1", port)], prefix=prefix)
        assert (layer.hosts, layer.prefix) == ([f"redis://127.0.0.1:{port}/0"], prefix)
        assert (layer.ring_size, layer.blpop_timeout, layer.consistent_hash("x")) == (1, 5, 0)
        client = layer.connection(0)
        assert layer.connection() is layer.connection(None) is client is layer._connection_list[0]
        client.set(f"{prefix}:mine", "1", ex=60)
        assert client.get(f"{prefix}:mine") == b"1"
        assert client.delete(f"{prefix}:mine") == 1
        for wrong in (1, -1):
            with pytest.raises(ValueError, match=rf"connection\({wrong}\): the layer has 1 hosts"):
                layer.connection(wrong)
        client.close()
        layer.layer.close()


def test_hosts_of_all_kinds(pytestconfig: pytest.Config) -> None:
    """3.4, 3.5: each shard has a number; a Sentinel's client talks to the master, a cluster's to all nodes."""
    shards = wrapped("asgi_redis.RedisChannelLayer", hosts=shared(pytestconfig, ShardServers).hosts)
    assert len({client.get_connection_kwargs()["port"] for client in shards._connection_list}) == shards.ring_size > 1
    assert [shards.consistent_hash(text) for text in ("a", "b", "c")] != [0, 0, 0]
    sentinel = wrapped("asgi_redis.RedisChannelLayer", hosts=shared(pytestconfig, SentinelServers).hosts)
    assert isinstance(sentinel.hosts[0], tuple)
    assert sentinel.connection(0).role()[0] == b"master"
    cluster = wrapped("asgi_redis.RedisChannelLayer", hosts=shared(pytestconfig, ClusterServers).hosts)
    assert len(cluster.connection().get_nodes()) > 1
    for layer in (shards, sentinel, cluster):
        for client in layer._connection_list:
            client.close()
        layer.layer.close()


def test_hosts_of_sentinel_in_the_spelling_of_1x() -> None:
    """3.5: CONFIG with ``services`` makes the class again."""
    config = {"hosts": [("localhost", 1)], "services": ["a", "b"]}
    layer = wrapped("asgi_redis.RedisSentinelChannelLayer", **config)
    again: Any = type(layer.channel_layer)(**config)
    assert layer.hosts == again.hosts == [("localhost", 1)]
    assert layer.ring_size == again.ring_size == 2


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("redis://:p%40ss@example.org:1/2", "redis://:p%40ss@example.org:1/2"),
        ("rediss://me:pw@example.org", "rediss://me:pw@example.org:6379/0"),
        (("example.org", 1), "redis://example.org:1/0"),
        ({"host": "example.org", "password": "a b"}, "redis://:a%20b@example.org:6379/0"),
        ("unix:///run/redis?db=1", "unix:///run/redis?db=1"),
    ],
)
def test_urls(given: Any, url: str) -> None:
    """3.1: as asgi_redis kept them, for clients that are made from one; no text of the layer has the password."""
    layer = wrapped("asgi_redis.RedisChannelLayer", hosts=[given])
    assert layer.hosts == [url]
    for shown in (str(layer), str(layer.layer), repr(layer.layer.hosts)):
        assert "p@ss" not in shown
        assert "pw" not in shown
        assert "a b" not in shown
