"""System checks of the settings and of the routing."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from django.apps import apps
from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from routechan.exceptions import ChannelLayerUnavailable, InvalidChannelLayerError, RoutingError
from routechan.layers import RedisChannelLayer
from routechan.layers.presence import PRESENCE_CHANNELS
from routechan.routing import Include, Route, RouteLike, resolve_routing

from . import channels4, conf
from .alias.late import Refused

#: Seconds that a Redis may take to answer a check.
REDIS_PATIENCE = 2.0

_EVENTS = {"websocket.connect", "websocket.receive", "websocket.disconnect", "http.request", "http.disconnect"}


def check_layers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The mistakes in ``CHANNEL_LAYERS`` and in the routing of each layer: E001 to E003, W001, W003 to W006.

    Args:
        app_configs: The apps to check; unused, the settings belong to none.
        **kwargs: What else Django passes; unused.
    """
    messages: list[CheckMessage] = []
    try:
        aliases = conf.layer_aliases()
        routed = [alias for alias in aliases if not conf.has_no_routing(alias)]
    except InvalidChannelLayerError as error:
        return [Error(str(error), id="routechan.E001")]
    if not aliases:
        messages.append(
            Warning(
                "CHANNEL_LAYERS is empty: there is no routing, so no socket is served.",
                hint='Write CHANNEL_LAYERS = {"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer", '
                '"ROUTING": "project.routing.channel_routing"}}.',
                id="routechan.W001",
            )
        )
        messages += _check_names()
    elif not routed:
        messages.append(
            Warning(
                "No routing is named, so no function consumer is served.",
                hint='Write ROUTECHAN = {"ROUTING": "project.routing.channel_routing"}.',
                id="routechan.W001",
            )
        )
    for alias in routed:
        messages += _check_layer(alias)
    return messages


def _check_names() -> list[CheckMessage]:
    """A setting that looks like a misspelt ``CHANNEL_LAYERS``."""
    near = difflib.get_close_matches("CHANNEL_LAYERS", [name for name in dir(settings) if name.isupper()], cutoff=0.8)
    return [
        Warning(
            f"Nothing reads the setting {name}.",
            hint="Did you mean CHANNEL_LAYERS?",
            id="routechan.W001",
        )
        for name in near
        if name != "CHANNEL_LAYERS"
    ]


def _check_layer(alias: str) -> list[CheckMessage]:
    where = f"CHANNEL_LAYERS[{alias!r}]"
    try:
        config = conf.layer_config(alias)
    except InvalidChannelLayerError as error:
        return [Error(str(error), id="routechan.E001")]
    if config is None:
        return [Error(f"{where} is None.", hint="Give it a BACKEND and a ROUTING, or remove it.", id="routechan.E001")]
    messages: list[CheckMessage] = []
    try:
        conf.make_backend(alias, config)
    except InvalidChannelLayerError as error:
        messages.append(Error(str(error), id="routechan.E001"))
    if config.get("CONSUMERS") == conf.WORKERS and not conf.backend_class(alias, config).crosses_processes:
        messages.append(
            Error(
                f"{where} has workers on {config['BACKEND']}, which no other process can see.",
                hint=f'Use a layer that crosses processes, or "CONSUMERS": "{conf.INLINE}".',
                id="routechan.E003",
            )
        )
    if conf.ROUTING in config and channels4.channels_installed() and apps.is_installed("channels"):
        messages.append(
            Warning(
                f"{where} has a ROUTING, which Channels refuses: its class-based consumers cannot use this layer.",
                hint='Move it to ROUTECHAN = {"ROUTING": ...}; then consumers of both kinds share the layer.',
                id="routechan.W006",
            )
        )
    place = f"{where}['ROUTING']" if conf.ROUTING in config else "ROUTECHAN['ROUTING']"
    try:
        routes = resolve_routing(conf.routing_of(alias, config))
    except RoutingError as error:
        messages.append(Error(f"{place}: {error}", id="routechan.E002"))
    else:
        for route in routes:
            messages += _check_route(route, place, inside=False, groups=set())
    return messages


def _check_route(route: RouteLike, where: str, inside: bool, groups: set[str]) -> list[CheckMessage]:
    """The mistakes in an entry of a routing.

    Args:
        route: The entry.
        where: The setting, for messages.
        inside: Whether an include around the entry has consumed the beginning of the path.
        groups: The named groups of the includes around it.
    """
    messages: list[CheckMessage] = []
    if isinstance(route, Refused):
        return [Error(f"{where}: {route.text}", id="routechan.E002")]
    if isinstance(route, Include):
        groups = groups.union(*(pattern.groupindex for pattern in route.prefixes.values()))
        if "path" in route.prefixes and not inside:
            messages += _check_path(route.prefixes["path"], route, where)
        for entry in route.routing:
            messages += _check_route(entry, where, inside or "path" in route.prefixes, groups)
        return messages
    if not isinstance(route, Route):
        return messages
    if isinstance(route.consumer, Refused):
        return [Error(f"{where}: {route.consumer.text}", id="routechan.E002")]
    for channel in route.channels:
        if channel.startswith(("websocket.", "http.")) and channel not in _EVENTS:
            messages.append(
                Warning(
                    f"{where}: {route}: no server sends messages on {channel!r}.",
                    hint=f"Those that are sent are {', '.join(sorted(_EVENTS))}.",
                    id="routechan.W003",
                )
            )
        messages += _check_presence(channel, route, where, inside)
    if "path" in route.filters and not inside:
        messages += _check_path(route.filters["path"], route, where)
    return messages + _check_arguments(route, where, groups.union(*(p.groupindex for p in route.filters.values())))


def _check_presence(channel: str, route: Route, where: str, inside: bool) -> list[CheckMessage]:
    """The warning W010 for a route of joins and leaves that never matches, or for a name that is almost one."""
    if channel not in PRESENCE_CHANNELS:
        near = difflib.get_close_matches(channel, PRESENCE_CHANNELS, 1, 0.75) if channel.startswith("group") else []
        if not near:
            return []
        text, hint = f"nothing is sent on {channel!r} unless this project does so", f"Did you mean {near[0]!r}?"
    elif inside or not route.filters.keys() <= {"group"}:
        text = f"it never matches, because a message on {channel!r} has no path, only a group and who"
        hint = 'Outside of an include with a path, write route("group.join", consumer, group=r"^room-").'
    else:
        return []
    return [Warning(f"{where}: {route}: {text}.", hint=hint, id="routechan.W010")]


def _check_arguments(route: Route, where: str, names: set[str]) -> list[CheckMessage]:
    try:
        signature = inspect.signature(route.consumer)
    except (TypeError, ValueError):  # a built-in has no signature
        return []
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        arguments = ", ".join(["message", *sorted(names)])
        return [
            Warning(
                f"{where}: {route}: the consumer cannot be called with what its route gives it: {error}.",
                hint=f"Named groups of the patterns are arguments: write def {_name(route.consumer)}({arguments}).",
                id="routechan.W005",
            )
        ]
    return []


def _name(consumer: object) -> str:
    return getattr(consumer, "__name__", "consumer")


def _check_path(pattern: re.Pattern[str], route: RouteLike, where: str) -> list[CheckMessage]:
    if not re.match(r"\^?[A-Za-z0-9]", pattern.pattern) or "|" in pattern.pattern:
        return []
    return [
        Warning(
            f"{where}: {route}: a path begins with a slash, so {pattern.pattern!r} never matches.",
            hint="Unlike those of Django's URLs, these patterns see the leading slash: write r'^/...'.",
            id="routechan.W004",
        )
    ]


def check_redis(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The warning W008 for each layer whose Redis does not answer; for ``check --deploy``.

    Args:
        app_configs: The apps to check; unused.
        **kwargs: What else Django passes; unused.
    """
    messages: list[CheckMessage] = []
    layer: Any
    for alias in _aliases():
        try:
            config = conf.layer_config(alias)
            if config is None or not issubclass(conf.backend_class(alias, config), RedisChannelLayer):
                continue
            options = {**config.get("CONFIG", {}), "send_timeout": REDIS_PATIENCE}
            layer = conf.make_backend(alias, {**config, "CONFIG": options})
        except InvalidChannelLayerError:
            continue  # E001 says so
        try:
            layer.sync.group_count("routechan.check")
        except ChannelLayerUnavailable as error:
            messages.append(
                Warning(
                    f"CHANNEL_LAYERS[{alias!r}]: {error}",
                    hint=f"Start it, or correct CHANNEL_LAYERS[{alias!r}]['CONFIG']['hosts'].",
                    id="routechan.W008",
                )
            )
        finally:
            layer.sync.layer.close()
    return messages


def _aliases() -> list[str]:
    try:
        return conf.layer_aliases()
    except InvalidChannelLayerError:
        return []


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The mistakes in ``ROUTECHAN``: E004.

    Args:
        app_configs: The apps to check; unused.
        **kwargs: What else Django passes; unused.
    """
    messages: list[CheckMessage] = []
    settings_read: tuple[Callable[[], object], ...] = (
        conf.server_options,
        conf.thread_limit,
        conf.stream_thread_limit,
        conf.socket_stream_limit,
        conf.user_socket_limit,
        conf.consumer_timeout,
        conf.session_key_in_query,
        conf.closes_on_logout,
        conf.login_check_interval,
        conf.sends_on_commit,
    )
    for read in settings_read:
        try:
            read()
        except ImproperlyConfigured as error:
            if not any(message.msg == str(error) for message in messages):
                messages.append(Error(str(error), id="routechan.E004"))
    return messages


def check_deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The warning W009 where a layer lives in one process; a check for ``manage.py check --deploy``.

    Args:
        app_configs: The apps to check; unused.
        **kwargs: What else Django passes; unused.
    """
    try:
        local = [
            alias
            for alias in conf.layer_aliases()
            if (config := conf.layer_config(alias)) and not conf.backend_class(alias, config).crosses_processes
        ]
    except InvalidChannelLayerError:  # which E001 reports
        return []
    return [
        Warning(
            f"CHANNEL_LAYERS[{alias!r}] lives in one process: sockets of several server processes, workers, shells and "
            "tasks would not hear of each other.",
            hint="Use routechan.layers.RedisChannelLayer, unless all of the site is one process.",
            id="routechan.W009",
        )
        for alias in local
    ]


def check_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The warning W002 where no ASGI server is installed.

    Args:
        app_configs: The apps to check; unused.
        **kwargs: What else Django passes; unused.
    """
    if any(importlib.util.find_spec(server) for server in ("uvicorn", "daphne", "hypercorn", "granian")):
        return []
    return [
        Warning(
            "No ASGI server is installed, so no socket can be served.",
            hint="Install one with: pip install 'routechan[server]'.",
            id="routechan.W002",
        )
    ]
