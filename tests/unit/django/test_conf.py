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
from routechan.layers.redis.hosts import GONE
from routechan_django import conf
from routechan_django.asgi import channel_layers

MEMORY = "routechan.layers.InMemoryChannelLayer"
ROUTING = "tests.unit.django.routing.channel_routing"
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
        ({"CONSUMERS": "inlined"}, r"has no BACKEND; write .*InMemoryChannelLayer"),
        ({"BACKEND": "nowhere.Layer"}, r"'nowhere.Layer', which cannot be imported"),
        ({"BACKEND": "collections.OrderedDict", "ROUTING": ROUTING}, r"which is no channel layer; expected a class"),
        ({"BACKEND": MEMORY, "CONSUMERS": "inlined"}, r"has no ROUTING; write .*channel_routing"),
        ({"BACKEND": MEMORY, "ROUTING": ROUTING, "CONSUMERS": "inlined"}, r"'inline' or 'workers', not 'inlined'"),
        ({"BACKEND": MEMORY, "ROUTTING": ROUTING}, r"unknown key 'ROUTTING' \(did you mean 'ROUTING'\?\)"),
        ("memory", r"is a dict with BACKEND and ROUTING, not 'memory'"),
        ({"BACKEND": MEMORY, "routing": ROUTING}, r"unknown key 'routing' \(did you mean 'ROUTING'\?\)"),
        ({"BACKEND": MEMORY, "THREADS": 3}, r"unknown key 'THREADS' \('THREADS' belongs into ROUTECHAN\)"),
        ({"BACKEND": MEMORY, "allowed_origins": []}, r"\('ALLOWED_ORIGINS' belongs into ROUTECHAN\)"),
        ({"BACKEND": MEMORY, "hosts": ["redis://:hidden@h"]}, r"\('hosts' belongs into CHANNEL_LAYERS.*'CONFIG'\]\)"),
        ({"BACKEND": MEMORY, "CAPACITY": 5}, r"\('capacity' belongs into CHANNEL_LAYERS\['default'\]\['CONFIG'\]\)"),
    ],
)
def test_mistakes_in_channel_layers(config: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LM-07: each mistake in an entry of CHANNEL_LAYERS, in this order, names the entry and what to write."""
    monkeypatch.setattr("routechan_django.channels4.channels_installed", lambda: False)
    with (
        override_settings(CHANNEL_LAYERS={"default": config}),
        pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['default'\].*{text}") as raised,
    ):
        channel_layers.make_backend("default")
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            {"BACKEND": MEMORY, "ROUTING": ROUTING},
            r"has 'BACKEND' where the alias .* write .*{\"default\": {\"BACKEND\":",
        ),
        ({"default": {"BACKEND": MEMORY}, "config": {"capacity": 5}}, r"has 'config' where the alias of a layer"),
        ({"CONSUMERS": {"BACKEND": MEMORY, "TYPO": 1}}, r"\['CONSUMERS'\] has the unknown key 'TYPO'"),
        ({"THREADS": 5}, r"\['THREADS'\] is a dict .*, not of type int \('THREADS' belongs into ROUTECHAN\)"),
        ({"hosts": ["redis://:hidden@h"]}, r"not of type list \('hosts' belongs into CHANNEL_LAYERS.*'CONFIG'\]\)"),
        ({"capacity": 5}, r"not of type int \('capacity' belongs into CHANNEL_LAYERS\['default'\]\['CONFIG'\]\)"),
    ],
)
def test_mistakes_in_place_of_aliases(setting: Any, text: str) -> None:
    """LM-07: what belongs one level lower, or into another setting, is no alias; an odd alias is one."""
    with (
        override_settings(CHANNEL_LAYERS=setting),
        pytest.raises(InvalidChannelLayerError, match="CHANNEL_LAYERS.*" + text) as raised,
    ):
        channel_layers.make_backend(next(iter(channel_layers.configs)))
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"hosts": ["redis://:hidden@h"]},
            r"has the option 'hosts', which InMemoryChannelLayer .* \(it is an option of .*RedisChannelLayer\)",
        ),
        ({"capasity": 5}, r"has the option 'capasity', .* \(did you mean 'capacity'\?\)"),
        ({"CAPACITY": 5}, r"has the option 'CAPACITY', .* \(did you mean 'capacity'\?\)"),
        ({"CONSUMERS": "workers"}, r".*\('CONSUMERS' belongs into CHANNEL_LAYERS\['default'\]\)"),
        ({"socket_capacity": 7}, r".*\('SOCKET_CAPACITY' belongs into ROUTECHAN\)"),
        (["hidden"], r"is a dict of the backend's options, not of type list"),
    ],
)
def test_mistakes_in_the_options_of_a_backend(options: Any, text: str) -> None:
    """An option the backend does not know is refused by name, and no value is shown: it may be a password."""
    with pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['default'\]\['CONFIG'\] {text}") as raised:
        made(MEMORY, options)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("backend", [MEMORY, conf.REDIS])
@pytest.mark.parametrize("name", [*conf.SERVER_KEYS, conf.THREADS, conf.STREAM_THREADS, "HANDSHAKE_TIMEOUTS"])
def test_names_of_routechan_among_the_options_of_a_backend(backend: str, name: str) -> None:
    """Each is told where it belongs, on every layer, and as it is written there."""
    meant = "HANDSHAKE_TIMEOUT" if name == "HANDSHAKE_TIMEOUTS" else name
    for written in (name, name.lower()):
        text = rf"has the option '{written}', .* \('{meant}' belongs into ROUTECHAN\)"
        with pytest.raises(InvalidChannelLayerError, match=text):
            made(backend, {written: 1})


@pytest.mark.parametrize("backend", [conf.REDIS, "asgi_redis.RedisChannelLayer"])
@pytest.mark.parametrize("name", sorted(GONE))
def test_options_of_older_layers(backend: str, name: str) -> None:
    """The reason why it can go, and not an option of ours that looks alike."""
    with pytest.raises(InvalidChannelLayerError, match=f"has no option '{name}'.*Remove '{name}'") as raised:
        made(backend, {name: 1})
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize("name", ["hosts", "prefix", "expiry", "connection_kwargs", "lease", "send_timeout"])
def test_options_of_the_redis_layer_in_other_places(name: str) -> None:
    """In other letters, in another setting, one level too high."""
    with pytest.raises(InvalidChannelLayerError, match=rf"option '{name.upper()}', .* \(did you mean '{name}'\?\)"):
        made(conf.REDIS, {name.upper(): 1})
    belongs = rf"\('{name}' belongs into CHANNEL_LAYERS\['default'\]\['CONFIG'\]\)"
    for written in (name, name.upper()):
        with override_settings(ROUTECHAN={written: 1}), pytest.raises(ImproperlyConfigured, match=belongs):
            conf.server_options()


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
        "EVENT_STREAMS": True,
        "HEALTH_PATH": "/healthz",
        "METRICS_PATH": "/metrics",
        "THREADS": 3,
        "STREAM_THREADS": 5,
        "SESSION_KEY_IN_QUERY": True,
        "ON_LOGOUT": "anonymous",
        "LOGIN_CHECK_INTERVAL": 0.5,
    }
    with override_settings(ROUTECHAN=given, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
        assert conf.server_options() == ServerOptions(
            secrets=("new", "old"),
            allowed_origins=["example.com"],
            subprotocols=["json"],
            handshake_timeout=1.5,
            socket_capacity=7,
            http_timeout=8,
            body_limit=9,
            event_streams=True,
            health_path="/healthz",
            metrics_path="/metrics",
        )
        assert conf.thread_limit() == 3
        assert conf.stream_thread_limit() == 5
        assert conf.session_key_in_query()
        assert not conf.closes_on_logout()
        assert conf.login_check_interval() == 0.5
    assert (conf.session_key_in_query(), conf.closes_on_logout(), conf.login_check_interval()) == (False, True, 5.0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"HANDSHAKE_TIMOUT": 1}, r"unknown key 'HANDSHAKE_TIMOUT' \(did you mean 'HANDSHAKE_TIMEOUT'\?\)"),
        ({"threads": 1}, r"unknown key 'threads' \(did you mean 'THREADS'\?\)"),
        ({"CONSUMERS": "workers"}, r"'CONSUMERS' \('CONSUMERS' belongs into CHANNEL_LAYERS\['default'\]\); expected"),
        ({"backend": MEMORY}, r"unknown key 'backend' \('BACKEND' belongs into CHANNEL_LAYERS\['default'\]\)"),
        ({"CONFIG": {}}, r"'CONFIG' belongs into CHANNEL_LAYERS\['default'\]\)"),
        ({"TEST_CONFIG": {}}, r"'TEST_CONFIG' belongs into CHANNEL_LAYERS\['default'\]\)"),
        ({"hosts": ["redis://:hidden@h"]}, r"\('hosts' belongs into CHANNEL_LAYERS\['default'\]\['CONFIG'\]\)"),
        ({"EXPIRY": 5}, r"\('expiry' belongs into CHANNEL_LAYERS\['default'\]\['CONFIG'\]\)"),
        ({"default": {"BACKEND": MEMORY}}, r"unknown key 'default' \('default' belongs into CHANNEL_LAYERS\)"),
        ({"CHANNEL_LAYERS": {}}, r"\('CHANNEL_LAYERS' belongs into the settings module\)"),
        ({"SOCKET_CAPACITY": "many"}, r"ROUTECHAN\['SOCKET_CAPACITY'\] is 'many'; expected int"),
        ({"SOCKET_CAPACITY": True}, r"ROUTECHAN\['SOCKET_CAPACITY'\] is True; expected int"),
        ({"BODY_LIMIT": -1}, r"ROUTECHAN\['BODY_LIMIT'\] is -1; expected int above 0"),
        ({"SOCKET_FAILURES": 0}, r"ROUTECHAN\['SOCKET_FAILURES'\] is 0; expected int above 0, or None"),
        ({"HTTP_TIMEOUT": 0}, r"ROUTECHAN\['HTTP_TIMEOUT'\] is 0; expected int or float above 0"),
        ({"ALLOWED_ORIGINS": "example.com"}, r"\['ALLOWED_ORIGINS'\] is 'example.com'; expected list or tuple of str"),
        ({"ALLOWED_ORIGINS": [None]}, r"\['ALLOWED_ORIGINS'\] is \[None\]; expected list or tuple of str"),
        ({"EVENT_STREAMS": 1}, r"ROUTECHAN\['EVENT_STREAMS'\] is 1; expected bool$"),
        ({"HEALTH_PATH": "healthz"}, r"ROUTECHAN\['HEALTH_PATH'\] is 'healthz'; expected str that begins with '/'"),
        ({"METRICS_PATH": 1}, r"ROUTECHAN\['METRICS_PATH'\] is 1; expected str that begins with '/', or None"),
        ({"HEALTH_PATH": "/a", "METRICS_PATH": "/a"}, r"give each its own"),
        ({"THREADS": 0}, r"\['THREADS'\] is 0; expected an int of at least 1"),
        ({"THREADS": True}, r"\['THREADS'\] is True; expected an int of at least 1"),
        ({"STREAM_THREADS": 0}, r"\['STREAM_THREADS'\] is 0; expected an int of at least 1"),
        ({"CONSUMER_TIMEOUT": 0}, r"\['CONSUMER_TIMEOUT'\] is 0; expected seconds above 0, or None"),
        ({"CONSUMER_TIMEOUT": "5"}, r"\['CONSUMER_TIMEOUT'\] is '5'; expected seconds above 0, or None"),
        ({"SESSION_KEY_IN_QUERY": "yes"}, r"\['SESSION_KEY_IN_QUERY'\] is 'yes'; expected True or False"),
        ({"ON_LOGOUT": True}, r"\['ON_LOGOUT'\] is True; expected 'close' or 'anonymous'"),
        ({"LOGIN_CHECK_INTERVAL": -1}, r"\['LOGIN_CHECK_INTERVAL'\] is -1; expected seconds, 0 to look at every event"),
        ({"LOGIN_CHECK_INTERVAL": None}, r"\['LOGIN_CHECK_INTERVAL'\] is None; expected seconds"),
        ({"LOGIN_CHECK_INTERVAL": float("nan")}, r"\['LOGIN_CHECK_INTERVAL'\] is nan; expected seconds"),
        (["THREADS"], r"ROUTECHAN is a dict of settings"),
    ],
)
def test_mistakes_in_routechan(given: Any, text: str) -> None:
    """A wrong key or value of ROUTECHAN is named, with what was expected."""

    def read() -> None:
        conf.server_options()
        conf.thread_limit()
        conf.stream_thread_limit()
        conf.consumer_timeout()
        conf.session_key_in_query()
        conf.closes_on_logout()
        conf.login_check_interval()

    with override_settings(ROUTECHAN=given), pytest.raises(ImproperlyConfigured, match=text):
        read()


@override_settings(DEBUG=True, ALLOWED_HOSTS=[])
def test_origins_in_development() -> None:
    """SC-07: with DEBUG and no ALLOWED_HOSTS, the local host may connect, as Django itself has it."""
    assert conf.server_options().allowed_origins == [".localhost", "127.0.0.1", "[::1]"]


def test_what_servers_have_of_djangos_own_settings() -> None:
    """``FORCE_SCRIPT_NAME`` is their root path, and ``DEBUG`` whether refused clients are told why."""
    assert (conf.server_options().root_path, conf.server_options().debug) == ("", False)
    with override_settings(FORCE_SCRIPT_NAME="/app", DEBUG=True):
        assert (conf.server_options().root_path, conf.server_options().debug) == ("/app", True)
