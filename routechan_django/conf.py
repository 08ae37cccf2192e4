"""The settings ``CHANNEL_LAYERS`` and ``ROUTECHAN``, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from routechan.asgi import ServerOptions
from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import BaseChannelLayer

INLINE, WORKERS = "inline", "workers"

#: Key of ``ROUTECHAN`` -> (the field of ``ServerOptions`` it sets, its types).
SERVER_KEYS: dict[str, tuple[str, tuple[type, ...]]] = {
    "ALLOWED_ORIGINS": ("allowed_origins", (list, tuple)),
    "SUBPROTOCOLS": ("subprotocols", (list, tuple)),
    "HANDSHAKE_TIMEOUT": ("handshake_timeout", (int, float)),
    "SOCKET_CAPACITY": ("socket_capacity", (int,)),
    "HTTP_TIMEOUT": ("http_timeout", (int, float)),
    "BODY_LIMIT": ("body_limit", (int,)),
}
THREADS = "THREADS"
LAYER_KEYS = ("BACKEND", "CONFIG", "ROUTING", "CONSUMERS", "TEST_CONFIG")


def layer_aliases() -> list[str]:
    return list(_layers())


def layer_config(alias: str) -> Mapping[str, Any] | None:
    """The entry of ``CHANNEL_LAYERS`` for ``alias``, checked, or None where there is none.

    Raises ``InvalidChannelLayerError`` for what is missing in it, in the order of LM-07.
    """
    config = _layers().get(alias)
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
    if "ROUTING" not in config:
        raise InvalidChannelLayerError(
            f"{where} has no ROUTING; write the dotted path of your list of routes, "
            'such as "ROUTING": "project.routing.channel_routing"'
        )
    consumers = config.get("CONSUMERS", INLINE)
    if consumers not in (INLINE, WORKERS):
        raise InvalidChannelLayerError(f"{where}['CONSUMERS'] is {INLINE!r} or {WORKERS!r}, not {consumers!r}")
    return config


def backend_class(alias: str, config: Mapping[str, Any]) -> type[BaseChannelLayer]:
    where = f"CHANNEL_LAYERS[{alias!r}]['BACKEND']"
    backend = config["BACKEND"]
    try:
        found = import_string(backend) if isinstance(backend, str) else backend
    except ImportError as error:
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which cannot be imported: {error}. "
            "This version has routechan.layers.InMemoryChannelLayer"
        ) from error
    if not isinstance(found, type) or not issubclass(found, BaseChannelLayer):
        raise InvalidChannelLayerError(
            f"{where} is {backend!r}, which is no channel layer; expected a class such as "
            "routechan.layers.InMemoryChannelLayer"
        )
    return found


def make_backend(alias: str, config: Mapping[str, Any]) -> BaseChannelLayer:
    """The layer itself. An option it does not know is refused by name; its other errors propagate (LM-07)."""
    options = config.get("CONFIG", {})
    try:
        return backend_class(alias, config)(**options)
    except TypeError as error:
        raise InvalidChannelLayerError(f"CHANNEL_LAYERS[{alias!r}]['CONFIG'] is {options!r:.200}: {error}") from error


def server_options() -> ServerOptions:
    """How the server treats connections: ``ROUTECHAN``, with Django's own settings as defaults.

    Raises ``ImproperlyConfigured`` for an unknown key or a value of another type.
    """
    given = _routechan()
    options: dict[str, Any] = {
        "allowed_origins": _allowed_hosts(),
        "subprotocols": getattr(settings, "CHANNELS_WS_PROTOCOLS", None) or (),
    }
    for key, (field, kinds) in SERVER_KEYS.items():
        if key in given:
            value = given[key]
            if not isinstance(value, kinds) or isinstance(value, bool):
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise ImproperlyConfigured(f"ROUTECHAN[{key!r}] is {value!r:.100}; expected {expected}")
            options[field] = value
    return ServerOptions(**options)


def thread_limit() -> int:
    """``ROUTECHAN["THREADS"]``: how many plain consumers run side by side."""
    threads = _routechan().get(THREADS, 32)
    if not isinstance(threads, int) or threads < 1:
        raise ImproperlyConfigured(f"ROUTECHAN['THREADS'] is {threads!r}; expected an int of at least 1")
    return threads


def _layers() -> Mapping[str, Any]:
    layers = getattr(settings, "CHANNEL_LAYERS", None) or {}
    if not isinstance(layers, Mapping):
        raise InvalidChannelLayerError(f"CHANNEL_LAYERS is a dict of alias: config, not {layers!r:.100}")
    return layers


def _routechan() -> Mapping[str, Any]:
    given = getattr(settings, "ROUTECHAN", None) or {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"ROUTECHAN is a dict of settings, not {given!r:.100}")
    known = [*SERVER_KEYS, THREADS]
    for key in given:
        if key not in known:
            raise ImproperlyConfigured(
                f"ROUTECHAN has the unknown key {key!r}{_did_you_mean(key, known)}; expected {', '.join(known)}"
            )
    return given


def _allowed_hosts() -> list[str]:
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]  # as Django itself does (SC-07)
    return list(settings.ALLOWED_HOSTS)


def _did_you_mean(key: object, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(key).upper(), known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
