"""System checks: what is wrong with the settings, before a socket is opened."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.apps.config import AppConfig
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from routechan.exceptions import InvalidChannelLayerError, RoutingError
from routechan.routing import Include, Route, RouteLike, resolve_routing

from . import beside, conf

_EVENTS = {"websocket.connect", "websocket.receive", "websocket.disconnect", "http.request", "http.disconnect"}


def check_layers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    try:
        aliases = conf.layer_aliases()
        routed = [alias for alias in aliases if not conf.is_for_channels_alone(alias)]
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
    if conf.ROUTING in config and beside.channels_installed() and apps.is_installed("channels"):
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
            messages += _check_route(route, place, inside=False, given=set())
    return messages


def _check_route(route: RouteLike, where: str, inside: bool, given: set[str]) -> list[CheckMessage]:
    """``inside``: below an include that cuts the path. ``given``: the named groups of the includes above."""
    messages: list[CheckMessage] = []
    if isinstance(route, Include):
        given = given.union(*(pattern.groupindex for pattern in route.prefixes.values()))
        if "path" in route.prefixes and not inside:
            messages += _check_path(route.prefixes["path"], route, where)
        for entry in route.routing:
            messages += _check_route(entry, where, inside or "path" in route.prefixes, given)
        return messages
    if not isinstance(route, Route):
        return messages
    for channel in route.channels:
        if channel.startswith(("websocket.", "http.")) and channel not in _EVENTS:
            messages.append(
                Warning(
                    f"{where}: {route}: no server sends messages on {channel!r}.",
                    hint=f"Those that are sent are {', '.join(sorted(_EVENTS))}.",
                    id="routechan.W003",
                )
            )
    if "path" in route.filters and not inside:
        messages += _check_path(route.filters["path"], route, where)
    return messages + _check_arguments(route, where, given.union(*(p.groupindex for p in route.filters.values())))


def _check_arguments(route: Route, where: str, names: set[str]) -> list[CheckMessage]:
    try:
        signature = inspect.signature(route.consumer)
    except (TypeError, ValueError):  # built-ins and the like do not tell
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


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for read in (conf.server_options, conf.thread_limit):
        try:
            read()
        except ImproperlyConfigured as error:
            if not any(message.msg == str(error) for message in messages):
                messages.append(Error(str(error), id="routechan.E004"))
    return messages


def check_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if any(importlib.util.find_spec(server) for server in ("uvicorn", "daphne", "hypercorn", "granian")):
        return []
    return [
        Warning(
            "No ASGI server is installed, so no socket can be served.",
            hint="Install one with: pip install 'routechan[server]'.",
            id="routechan.W002",
        )
    ]
