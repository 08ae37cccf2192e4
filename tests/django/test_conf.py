"""What is wrong with the settings is said with what came, what was expected and what to write."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan import layers
from routechan.asgi import ServerOptions
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import InMemoryChannelLayer
from routechan_django import conf

MEMORY = "routechan.layers.InMemoryChannelLayer"
ROUTING = "tests.django.routing.channel_routing"
SENTINEL = set(conf.OLD_SENTINEL_BACKENDS)


class Redis(InMemoryChannelLayer):
    """Takes the options of a Redis layer and keeps them."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        if options.get("hosts") == []:
            raise InvalidChannelLayerError("hosts is empty")
        if "expiry" in options:
            options["expiry"] = options["expiry"] + 0
        self.options = options


@pytest.fixture
def redis_layer(monkeypatch: pytest.MonkeyPatch) -> type[Redis]:
    """In the place of the Redis layer, so that no test here is about Redis."""
    monkeypatch.setattr(layers, "RedisChannelLayer", Redis, raising=False)
    return Redis


def made(backend: str, options: Any = None) -> Any:
    """The layer of a CHANNEL_LAYERS entry."""
    return conf.make_backend("default", {"BACKEND": backend, "ROUTING": ROUTING, "CONFIG": options or {}})


def not_installed(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Make the module of ``path`` one that cannot be imported."""
    monkeypatch.setitem(sys.modules, path.rpartition(".")[0], None)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"ROUTING": ROUTING}, r"has no BACKEND; write .*InMemoryChannelLayer"),
        ({"BACKEND": "nowhere.Layer", "ROUTING": ROUTING}, r"'nowhere.Layer', which cannot be imported"),
        ({"BACKEND": "collections.OrderedDict", "ROUTING": ROUTING}, r"which is no channel layer; expected a class"),
        ({"BACKEND": MEMORY}, r"has no ROUTING; write .*channel_routing"),
        ({"BACKEND": MEMORY, "ROUTING": ROUTING, "CONSUMERS": "inlined"}, r"'inline' or 'workers', not 'inlined'"),
        ({"BACKEND": MEMORY, "ROUTTING": ROUTING}, r"unknown key 'ROUTTING' \(did you mean 'ROUTING'\?\)"),
        ("memory", r"is a dict with BACKEND and ROUTING, not 'memory'"),
    ],
)
def test_mistakes_in_channel_layers(config: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LM-07: each mistake in an entry of CHANNEL_LAYERS names the entry and what to write."""
    monkeypatch.setattr("routechan_django.beside.channels_installed", lambda: False)
    with (
        override_settings(CHANNEL_LAYERS={"default": config}),
        pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['default'\].*{text}"),
    ):
        conf.layer_config("default")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"hosts": ["redis://:hidden@h"]},
            r"has the option 'hosts', which InMemoryChannelLayer does not know; it has exp",
        ),
        ({"capasity": 5}, r"has the option 'capasity', .* \(did you mean 'capacity'\?\)"),
        (["hidden"], r"is a dict of the backend's options, not of type list"),
    ],
)
def test_mistakes_in_the_options_of_a_backend(options: Any, text: str) -> None:
    """An option the backend does not know is refused by name, and no value is shown: it may be a password."""
    with pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['default'\]\['CONFIG'\] {text}") as raised:
        made(MEMORY, options)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("old", [name for name, ours in conf.OLD_BACKENDS.items() if ours == MEMORY])
def test_old_names_of_the_memory_layer(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BACKEND strings of other packages mean our layer where the package is not installed."""
    not_installed(monkeypatch, old)
    layer = made(old, {"capacity": 7})
    assert type(layer) is InMemoryChannelLayer
    assert layer.capacity == 7


@pytest.mark.parametrize("old", sorted({name for name, ours in conf.OLD_BACKENDS.items() if ours != MEMORY} - SENTINEL))
def test_old_names_of_the_redis_layer(old: str, monkeypatch: pytest.MonkeyPatch, redis_layer: type[Redis]) -> None:
    """The Redis layers of asgi_redis and channels_redis mean ours, with the same options."""
    not_installed(monkeypatch, old)
    layer = made(old, {"hosts": [("localhost", 6379)], "prefix": "shop"})
    assert type(layer) is redis_layer
    assert layer.options == {"hosts": [("localhost", 6379)], "prefix": "shop"}


@pytest.mark.parametrize("old", sorted(SENTINEL))
@pytest.mark.parametrize(
    ("options", "hosts"),
    [
        (
            {"hosts": [("a", 1), ("b", 2)], "services": ["one", "two"]},
            [([("a", 1), ("b", 2)], "one"), ([("a", 1), ("b", 2)], "two")],
        ),
        ({"services": ["one"], "sentinel_refresh_interval": 60}, [([("localhost", 26379)], "one")]),
        ({"hosts": [{"sentinels": [("a", 1)], "master_name": "one"}]}, [([("a", 1)], "one")]),
    ],
    ids=["a shard for each service", "the sentinels' default", "our own form"],
)
def test_services_of_the_old_sentinel_layer(
    old: str, options: dict[str, Any], hosts: list[Any], monkeypatch: pytest.MonkeyPatch, redis_layer: type[Redis]
) -> None:
    """asgi_redis' hosts and services for Sentinel become our hosts; its other options stay as they are."""
    not_installed(monkeypatch, old)
    layer = made(old, {**options, "expiry": 5})
    expected = [{"sentinels": sentinels, "master_name": name} for sentinels, name in hosts]
    assert layer.options == {"hosts": expected, "expiry": 5}


@pytest.mark.parametrize("services", [None, "mymaster", [], [5]])
def test_sentinel_services_that_are_missing(
    services: Any, monkeypatch: pytest.MonkeyPatch, redis_layer: type[Redis]
) -> None:
    """Without services there is no master to ask for: the error says both ways to name it."""
    old = "asgi_redis.RedisSentinelChannelLayer"
    not_installed(monkeypatch, old)
    with pytest.raises(
        InvalidChannelLayerError, match=r'names no service .* "services": \["mymaster"\].*"master_name"'
    ):
        made(old, {"hosts": [("a", 1)]} if services is None else {"hosts": [("a", 1)], "services": services})


def test_an_old_layer_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old package that is installed is not replaced unasked: the error names the class to write."""
    module = types.ModuleType("channels_redis.core")
    module.RedisChannelLayer = type("RedisChannelLayer", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "channels_redis.core", module)
    with pytest.raises(
        InvalidChannelLayerError, match=r"installed here and is no .*write 'routechan.layers.RedisChannelLayer'"
    ):
        made("channels_redis.core.RedisChannelLayer")


def test_an_unknown_option_under_an_old_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error about options says which layer read them."""
    not_installed(monkeypatch, "asgiref.inmemory.ChannelLayer")
    text = r"read by routechan.layers.InMemory.* instead of asgiref.inmemory.ChannelLayer, has the option 'host'"
    with pytest.raises(InvalidChannelLayerError, match=text):
        made("asgiref.inmemory.ChannelLayer", {"host": []})


@pytest.mark.parametrize(
    ("options", "text"), [({"hosts": []}, "hosts is empty"), ({"expiry": "60"}, "can only concatenate str")]
)
def test_what_a_backend_refuses(options: dict[str, Any], text: str, redis_layer: type[Redis]) -> None:
    """What the layer itself says about its options is told with the place in the settings."""
    with pytest.raises(InvalidChannelLayerError, match=rf"\['default'\]\['CONFIG'\] was refused: {text}"):
        made(conf.REDIS, options)


@override_settings(CHANNEL_LAYERS=["default"])
def test_channel_layers_of_another_type() -> None:
    """CHANNEL_LAYERS that is no dict is refused with what it should be."""
    with pytest.raises(InvalidChannelLayerError, match="a dict of alias: config"):
        conf.layer_aliases()


@override_settings(CHANNEL_LAYERS=None)
def test_no_channel_layers() -> None:
    """ST-01: an absent CHANNEL_LAYERS counts as empty."""
    assert conf.layer_aliases() == []
    assert conf.layer_config("default") is None


def test_every_server_setting() -> None:
    """Each key of ROUTECHAN reaches the option it names."""
    given = {
        "ALLOWED_ORIGINS": ["example.com"],
        "SUBPROTOCOLS": ["json"],
        "HANDSHAKE_TIMEOUT": 1.5,
        "SOCKET_CAPACITY": 7,
        "HTTP_TIMEOUT": 8,
        "BODY_LIMIT": 9,
        "HEALTH_PATH": "/healthz",
        "METRICS_PATH": "/metrics",
        "THREADS": 3,
    }
    with override_settings(ROUTECHAN=given):
        assert conf.server_options() == ServerOptions(
            allowed_origins=["example.com"],
            subprotocols=["json"],
            handshake_timeout=1.5,
            socket_capacity=7,
            http_timeout=8,
            body_limit=9,
            health_path="/healthz",
            metrics_path="/metrics",
        )
        assert conf.thread_limit() == 3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"HANDSHAKE_TIMOUT": 1}, r"unknown key 'HANDSHAKE_TIMOUT' \(did you mean 'HANDSHAKE_TIMEOUT'\?\)"),
        ({"SOCKET_CAPACITY": "many"}, r"ROUTECHAN\['SOCKET_CAPACITY'\] is 'many'; expected int"),
        ({"SOCKET_CAPACITY": True}, r"ROUTECHAN\['SOCKET_CAPACITY'\] is True; expected int"),
        ({"BODY_LIMIT": -1}, r"ROUTECHAN\['BODY_LIMIT'\] is -1; expected int above 0"),
        ({"HTTP_TIMEOUT": 0}, r"ROUTECHAN\['HTTP_TIMEOUT'\] is 0; expected int or float above 0"),
        ({"ALLOWED_ORIGINS": "example.com"}, r"\['ALLOWED_ORIGINS'\] is 'example.com'; expected list or tuple of str"),
        ({"ALLOWED_ORIGINS": [None]}, r"\['ALLOWED_ORIGINS'\] is \[None\]; expected list or tuple of str"),
        ({"HEALTH_PATH": "healthz"}, r"ROUTECHAN\['HEALTH_PATH'\] is 'healthz'; expected str that begins with '/'"),
        ({"METRICS_PATH": None}, r"ROUTECHAN\['METRICS_PATH'\] is None; expected str that begins with '/'"),
        ({"HEALTH_PATH": "/a", "METRICS_PATH": "/a"}, r"give each its own"),
        ({"THREADS": 0}, r"\['THREADS'\] is 0; expected an int of at least 1"),
        ({"THREADS": True}, r"\['THREADS'\] is True; expected an int of at least 1"),
        (["THREADS"], r"ROUTECHAN is a dict of settings"),
    ],
)
def test_mistakes_in_routechan(given: Any, text: str) -> None:
    """A wrong key or value of ROUTECHAN is named, with what was expected."""

    def read() -> None:
        conf.server_options()
        conf.thread_limit()

    with override_settings(ROUTECHAN=given), pytest.raises(ImproperlyConfigured, match=text):
        read()


@override_settings(DEBUG=True, ALLOWED_HOSTS=[])
def test_origins_in_development() -> None:
    """SC-07: with DEBUG and no ALLOWED_HOSTS, the local host may connect, as Django itself has it."""
    assert conf.server_options().allowed_origins == [".localhost", "127.0.0.1", "[::1]"]
