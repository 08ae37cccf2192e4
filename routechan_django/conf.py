"""The settings ``CHANNEL_LAYERS`` and ``ROUTECHAN``, read and checked."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from routechan.asgi import ServerOptions
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer

from . import beside
from .alias.old_layers import OLD_CLASSES, OldChannelLayer, with_sentinels

INLINE, WORKERS = "inline", "workers"

#: What BACKEND may be: a layer, or a subclass of one that 1.x had. Either has a ``sync`` face.
Backend = BaseChannelLayer | OldChannelLayer

#: Key of ``ROUTECHAN`` -> (the field of ``ServerOptions`` it sets, its types).
SERVER_KEYS: dict[str, tuple[str, tuple[type, ...]]] = {
    "ALLOWED_ORIGINS": ("allowed_origins", (list, tuple)),
    "SUBPROTOCOLS": ("subprotocols", (list, tuple)),
    "HANDSHAKE_TIMEOUT": ("handshake_timeout", (int, float)),
    "SOCKET_CAPACITY": ("socket_capacity", (int,)),
    "HTTP_TIMEOUT": ("http_timeout", (int, float)),
    "BODY_LIMIT": ("body_limit", (int,)),
    "HEALTH_PATH": ("health_path", (str,)),
    "METRICS_PATH": ("metrics_path", (str,)),
}

#: What a value has to be beside its type, which is "above 0" for numbers.
_RANGES: dict[type, str] = {list: " of str", str: " that begins with '/'"}
_FIELDS = tuple(field for field, _ in SERVER_KEYS.values())

#: What ``serve_with`` was told. Lifetime: process.
_command_line: dict[str, Any] = {}

THREADS = "THREADS"
ROUTING = "ROUTING"
LAYER_KEYS = ("BACKEND", "CONFIG", "ROUTING", "CONSUMERS", "TEST_CONFIG")

MEMORY, REDIS = "routechan.layers.InMemoryChannelLayer", "routechan.layers.RedisChannelLayer"

#: Layers of other packages -> ours that is used where the package is not installed.
OLD_BACKENDS = {
    "asgiref.inmemory.ChannelLayer": MEMORY,
    "channels.layers.InMemoryChannelLayer": MEMORY,
    "asgi_redis.RedisChannelLayer": REDIS,
    "asgi_redis.core.RedisChannelLayer": REDIS,
    "asgi_redis.RedisLocalChannelLayer": REDIS,
    "asgi_redis.local.RedisLocalChannelLayer": REDIS,
    "asgi_redis.RedisSentinelChannelLayer": REDIS,
    "asgi_redis.sentinel.RedisSentinelChannelLayer": REDIS,
    "channels_redis.core.RedisChannelLayer": REDIS,
    "channels_redis.pubsub.RedisPubSubChannelLayer": REDIS,
}
OLD_SENTINEL_BACKENDS = ("asgi_redis.RedisSentinelChannelLayer", "asgi_redis.sentinel.RedisSentinelChannelLayer")


def layer_aliases() -> list[str]:
    return list(layers())


def layer_config(alias: str) -> Mapping[str, Any] | None:
    """The entry of ``CHANNEL_LAYERS`` for ``alias``, checked, or None where there is none.

    Raises ``InvalidChannelLayerError`` for what is missing in it, in the order of LM-07.
    """
    config = layers().get(alias)
    if config is None:
        return None
    where = f"CHANNEL_LAYERS[{alias!r}]"
    if not isinstance(config, Mapping):
        raise InvalidChannelLayerError(f"{where} is a dict with BACKEND and ROUTING, not {config!r:.100}")
    for key in config:
        if key not in LAYER_KEYS:
            raise InvalidChannelLayerError(
                f"{where} has the unknown key {key!r}{_did_you_mean(key, LAYER_KEYS)}; "
                f"expected {', '.join(LAYER_KEYS)}, and the backend's own options inside CONFIG"
            )
    if "BACKEND" not in config:
        raise InvalidChannelLayerError(
            f'{where} has no BACKEND; write "BACKEND": "routechan.layers.InMemoryChannelLayer"'
        )
    backend_class(alias, config)
    if shares_with_channels(config):
        _check_backend_for_channels(where, config["BACKEND"])
    if routing_of(alias, config) is None and not beside.channels_installed():
        raise InvalidChannelLayerError(
            f"{where} has no ROUTING; write the dotted path of your list of routes, "
            'such as "ROUTING": "project.routing.channel_routing"'
        )
    consumers = config.get("CONSUMERS", INLINE)
    if consumers not in (INLINE, WORKERS):
        raise InvalidChannelLayerError(f"{where}['CONSUMERS'] is {INLINE!r} or {WORKERS!r}, not {consumers!r}")
    return config


def routing_of(alias: str, config: Mapping[str, Any]) -> Any:
    """The routing that ``CHANNEL_LAYERS`` names for the layer, else the one ``ROUTECHAN`` does, else None."""
    elsewhere = _routings().get(alias)
    if ROUTING not in config:
        return elsewhere
    if elsewhere is not None:
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}] has a ROUTING, and ROUTECHAN['ROUTING'] names one for this layer too; "
            "keep one of them"
        )
    return config[ROUTING]


def is_for_channels_alone(alias: str) -> bool:
    """Whether no routing is named for this layer, and Channels is there to use it without one."""
    config = layers().get(alias)
    return isinstance(config, Mapping) and shares_with_channels(config) and alias not in _routings()


def shares_with_channels(config: Mapping[str, Any]) -> bool:
    """Whether class-based consumers of Channels use this layer too; it refuses those with a ``ROUTING``."""
    return ROUTING not in config and beside.channels_installed()


def backend_class(alias: str, config: Mapping[str, Any]) -> type[Backend]:
    """The class that BACKEND names, or ours of ``OLD_BACKENDS`` where that cannot be imported."""
    where = f"CHANNEL_LAYERS[{alias!r}]['BACKEND']"
    backend = config["BACKEND"]
    try:
        found = _import_backend(backend) if isinstance(backend, str) else backend
    except ImportError as error:
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which cannot be imported: {error}. "
            f"This version has {MEMORY} (one process) and {REDIS} (any number)"
        ) from error
    if isinstance(found, type) and issubclass(found, (BaseChannelLayer, OldChannelLayer)):
        return found
    if isinstance(backend, str) and backend in OLD_BACKENDS:
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which is installed here and is no channel layer of routechan; "
            f"write {OLD_BACKENDS[backend]!r}"
        )
    raise InvalidChannelLayerError(
        f"{where} is {backend!r}, which is no channel layer; expected a class such as {MEMORY}"
    )


def make_backend(alias: str, config: Mapping[str, Any], key: str = "CONFIG") -> Backend:
    """The layer itself, with the options under ``key``. One it does not know is refused by name (LM-07).

    Values of options are in no error: there may be a password among them.
    """
    where = f"CHANNEL_LAYERS[{alias!r}][{key!r}]"
    options = config.get(key, {})
    if not isinstance(options, Mapping):
        raise InvalidChannelLayerError(
            f"{where} is a dict of the backend's options, not of type {type(options).__name__}"
        )
    found, backend = backend_class(alias, config), config["BACKEND"]
    if isinstance(backend, str) and backend in OLD_BACKENDS:
        where += f", read by {OLD_BACKENDS[backend]} instead of {backend},"
    if backend in OLD_SENTINEL_BACKENDS:
        options = with_sentinels(where, options)
    _refuse_unknown_options(where, found, options)
    try:
        return found(**options)
    except (TypeError, InvalidChannelLayerError) as error:
        raise InvalidChannelLayerError(f"{where} was refused: {error}") from error


def server_options() -> ServerOptions:
    """How the server treats connections: ``ROUTECHAN``, with Django's own settings as defaults.

    Raises ``ImproperlyConfigured`` for an unknown key or a value of another type.
    """
    given = _routechan()
    options: dict[str, Any] = {
        "allowed_origins": allowed_hosts(),
        "subprotocols": getattr(settings, "CHANNELS_WS_PROTOCOLS", None) or (),
    }
    for key, (field, kinds) in SERVER_KEYS.items():
        if key in given:
            value = given[key]
            if not _fits(value, kinds):
                expected = " or ".join(kind.__name__ for kind in kinds) + _RANGES.get(kinds[0], " above 0")
                raise ImproperlyConfigured(f"ROUTECHAN[{key!r}] is {value!r:.100}; expected {expected}")
            options[field] = value
    options.update({name: _command_line[name] for name in _FIELDS if name in _command_line})
    try:
        return ServerOptions(**options)
    except ValueError as error:
        raise ImproperlyConfigured(f"ROUTECHAN: {error}") from error


def thread_limit() -> int:
    """``ROUTECHAN["THREADS"]``: how many plain consumers run side by side."""
    threads = _routechan().get(THREADS, 32)
    if not _fits(threads, (int,)):
        raise ImproperlyConfigured(f"ROUTECHAN['THREADS'] is {threads!r}; expected an int of at least 1")
    return int(_command_line.get("threads", threads))


def reads_channels() -> bool:
    """Whether the server reads the channels that the routing names, or leaves them to workers (CM-01)."""
    return bool(_command_line.get("read_channels", True))


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a value is a path, a list of texts or, True and False aside, a number above 0, as ``kinds`` want it."""
    if not isinstance(value, kinds):
        return False
    if isinstance(value, str):
        return value.startswith("/")
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def serve_with(**options: Any) -> None:
    """What a command line says, before the settings, to what is built from now on; None says nothing.

    Fields of ``ServerOptions``, ``threads`` and ``read_channels``.
    """
    _command_line.update({name: value for name, value in options.items() if value is not None})


def _import_backend(path: str) -> Any:
    if path not in OLD_BACKENDS:
        return import_string(path)
    try:
        found = import_string(path)
    except ImportError:
        found = None
    # What install() puts there is for code to subclass; as it is, it has nothing that ours has not.
    return found if found is not None and found not in OLD_CLASSES else import_string(OLD_BACKENDS[path])


def _refuse_unknown_options(where: str, layer: type[Backend], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(layer).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            raise InvalidChannelLayerError(
                f"{where} has the option {name!r}, which {layer.__name__} does not know"
                f"{_did_you_mean(name, list(parameters))}; it has {', '.join(parameters)}"
            )


def layers() -> Mapping[str, Any]:
    """``CHANNEL_LAYERS``, empty where it is not set (ST-01)."""
    given = getattr(settings, "CHANNEL_LAYERS", None) or {}
    if not isinstance(given, Mapping):
        raise InvalidChannelLayerError(f"CHANNEL_LAYERS is a dict of alias: config, not {given!r:.100}")
    return given


def _check_backend_for_channels(where: str, backend: object) -> None:
    """What we would understand and Channels, which makes the layer, does not."""
    if not isinstance(backend, str) or backend in OLD_BACKENDS:
        path = OLD_BACKENDS.get(backend, MEMORY) if isinstance(backend, str) else MEMORY
        raise InvalidChannelLayerError(
            f"{where}['BACKEND'] is {backend!r}, which Channels, installed here, cannot import; write {path!r}"
        )


def _routings() -> Mapping[str, Any]:
    """Alias -> routing, from ``ROUTECHAN["ROUTING"]``: a dict of them, or the one of the default layer."""
    server = getattr(settings, "ROUTECHAN", None)  # whose other keys are none of a layer's business
    given = server.get(ROUTING) if isinstance(server, Mapping) else None
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        return {DEFAULT_CHANNEL_LAYER: given}
    for alias in given:
        if alias not in layers():
            raise InvalidChannelLayerError(
                f"ROUTECHAN['ROUTING'] has the alias {alias!r}, which CHANNEL_LAYERS has not; write a dotted path for "
                "the default layer, or a dict of alias: dotted path"
            )
    return given


def _routechan() -> Mapping[str, Any]:
    given = getattr(settings, "ROUTECHAN", None) or {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"ROUTECHAN is a dict of settings, not {given!r:.100}")
    known = [*SERVER_KEYS, THREADS, ROUTING]
    for key in given:
        if key not in known:
            raise ImproperlyConfigured(
                f"ROUTECHAN has the unknown key {key!r}{_did_you_mean(key, known)}; expected {', '.join(known)}"
            )
    return given


def allowed_hosts() -> list[str]:
    """The hosts whose pages may open sockets: ``ALLOWED_HOSTS``, or those of this machine in development (SC-07)."""
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]  # as Django itself does
    return list(settings.ALLOWED_HOSTS)


def _did_you_mean(key: object, known: list[str] | tuple[str, ...]) -> str:
    spelt = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(key).lower(), spelt, n=1)
    return f" (did you mean {spelt[close[0]]!r}?)" if close else ""
