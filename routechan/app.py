"""An application from a routing, for projects without Django."""

from __future__ import annotations

from typing import Any

from .asgi.application import Application
from .asgi.lifespan import ASGIApplication
from .asgi.options import ServerOptions
from .consumers.dispatch import Dispatcher
from .consumers.threads import SOCKET_STREAMS, STREAM_THREADS
from .inline import InlineConsumers
from .layers.base import BaseChannelLayer, SyncChannelLayer
from .layers.memory import InMemoryChannelLayer
from .layers.registry import DEFAULT_CHANNEL_LAYER, channel_layers
from .relay.server import EVENT_TIMEOUT, RelayConsumers
from .routing import Router, default_routes

#: The path of a relaying server's health report.
HEALTH_PATH = "/healthz"


def application(
    routing: Any,
    layer: BaseChannelLayer | None = None,
    http: ASGIApplication | None = None,
    *,
    options: ServerOptions | None = None,
    threads: int = 32,
    stream_threads: int = STREAM_THREADS,
    socket_streams: int = SOCKET_STREAMS,
    consumer_timeout: float | None = None,
) -> Application:
    """An ASGI 3 callable that runs the consumers of ``routing`` in the server process.

    Args:
        routing: a list of routes, or what else ``Router`` takes.
        layer: becomes the default layer, which ``Channel`` and ``Group`` use. Without one it is the default layer
            there is, or a new ``InMemoryChannelLayer``.
        http: the ASGI application that answers the requests no route takes.
        options: how the server face treats connections.
        threads: how many plain consumers may run at a time.
        stream_threads: how many plain generators may stream beside them.
        socket_streams: how many generators may stream to one socket at a time.
        consumer_timeout: seconds that one run of a consumer may take, unless it is a generator; None for any time.

    Raises:
        RoutingError: a mistake in the routing.
        ValueError: ``consumer_timeout`` is no number of seconds above 0.
    """
    router = Router(routing, defaults=default_routes())
    return inline_application(
        Dispatcher(router, timeout=consumer_timeout),
        _default_layer(layer),
        http=http,
        options=options,
        threads=threads,
        stream_threads=stream_threads,
        socket_streams=socket_streams,
    )


def inline_application(
    dispatcher: Dispatcher,
    layer: SyncChannelLayer,
    *,
    http: ASGIApplication | None = None,
    options: ServerOptions | None = None,
    threads: int = 32,
    stream_threads: int = STREAM_THREADS,
    socket_streams: int = SOCKET_STREAMS,
    read_channels: bool = True,
) -> Application:
    """An ASGI 3 callable that runs consumers in the server process.

    Args:
        dispatcher: finds and runs the consumers.
        layer: the 1.x face of their layer.
        http: the ASGI application that answers the requests no route takes.
        options: how the server face treats connections.
        threads: how many plain consumers may run at a time.
        stream_threads: how many plain generators may stream beside them.
        socket_streams: how many generators may stream to one socket at a time.
        read_channels: also consume what is sent to the channels the routing names; else workers do.

    Raises:
        TypeError: ``http`` cannot be called.
    """
    if http is not None and not callable(http):
        raise TypeError(
            f"http is the ASGI application for other requests, not {http!r:.100}; where a module was given, name the "
            "application inside it"
        )
    consumers = InlineConsumers(
        dispatcher,
        layer,
        threads=threads,
        stream_threads=stream_threads,
        socket_streams=socket_streams,
        read_channels=read_channels,
    )
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

    Args:
        layer: the workers' layer.
        http: the ASGI application that answers the requests which are not relayed.
        options: how the server face treats connections. Without them, ``/healthz`` reports the server's health.
        relay_http: whether requests go to workers too: all of them, or those that a router takes.
        event_timeout: seconds that an event may take, with its wait for a worker.
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
