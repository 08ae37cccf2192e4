"""An application from a routing, for projects without Django."""

from __future__ import annotations

from typing import Any

from .asgi.application import Application
from .asgi.lifespan import ASGIApplication
from .asgi.server import ServerOptions
from .dispatch import Dispatcher
from .inline import InlineConsumers
from .layers.base import BaseChannelLayer, SyncChannelLayer
from .layers.memory import InMemoryChannelLayer
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .relay import EVENT_TIMEOUT, RelayConsumers
from .routing import Router, default_routes

#: Where a server that relays says how it is.
HEALTH_PATH = "/healthz"


def application(
    routing: Any,
    layer: BaseChannelLayer | None = None,
    http: ASGIApplication | None = None,
    *,
    options: ServerOptions | None = None,
    threads: int = 32,
) -> Application:
    """An ASGI 3 callable that runs the consumers of ``routing`` in the server process.

    ``layer`` becomes the default layer, which ``Channel`` and ``Group`` use; without one it is the default
    layer there is, or a new ``InMemoryChannelLayer``. ``http`` answers the requests no route takes.
    ``threads`` bounds the threads for plain functions. Raises ``RoutingError`` for a mistake in the routing.
    """
    router = Router(routing, defaults=default_routes())
    return inline_application(Dispatcher(router), _default_layer(layer), http=http, options=options, threads=threads)


def inline_application(
    dispatcher: Dispatcher,
    layer: SyncChannelLayer,
    *,
    http: ASGIApplication | None = None,
    options: ServerOptions | None = None,
    threads: int = 32,
    read_channels: bool = True,
) -> Application:
    """The server face with its consumers in the same process."""
    if http is not None and not callable(http):
        raise TypeError(
            f"http is the ASGI application for other requests, not {http!r:.100}; where a module was given, name the "
            "application inside it"
        )
    consumers = InlineConsumers(dispatcher, layer, threads=threads, read_channels=read_channels)
    return Application(consumers, layer.layer, http=http, options=options)


def relay_application(
    layer: BaseChannelLayer,
    http: ASGIApplication | None = None,
    *,
    options: ServerOptions | None = None,
    relay_http: bool | Router = False,
    event_timeout: float = EVENT_TIMEOUT,
) -> Application:
    """An ASGI 3 callable that holds the connections and leaves all consumers to workers on the same layer.

    Requests go to ``http``; with ``relay_http`` to the workers, all of them or those that a router takes.
    ``event_timeout`` is the seconds an event may take.
    Without ``options``, ``/healthz`` says how the server is.
    """
    options = ServerOptions(health_path=HEALTH_PATH) if options is None else options
    return Application(
        RelayConsumers(layer, http=relay_http, event_timeout=event_timeout), layer, http=http, options=options
    )


def _default_layer(layer: BaseChannelLayer | None) -> SyncChannelLayer:
    if layer is not None:
        channel_layers.set(DEFAULT_CHANNEL_LAYER, layer.sync)
    elif DEFAULT_CHANNEL_LAYER not in channel_layers:
        channel_layers.set(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync)
    return channel_layers[DEFAULT_CHANNEL_LAYER]
