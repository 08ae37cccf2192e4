"""From a configured channel layer to the ASGI application that serves it."""

from __future__ import annotations

from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler, ASGIRequest

from routechan.app import inline_application, relay_application
from routechan.asgi import Application, ServerOptions
from routechan.asgi.lifespan import ASGIApplication
from routechan.consumers.dispatch import Dispatcher
from routechan.consumers.threads import SOCKET_STREAMS, STREAM_THREADS
from routechan.inline import InlineConsumers
from routechan.layers import DEFAULT_CHANNEL_LAYER

from . import conf
from .layer import ChannelLayerWrapper
from .signals import hooks


class DjangoRequest(ASGIRequest):
    """Django's request for a view that no route leads to. Lifetime: request."""

    @property
    def reply_channel(self) -> NoReturn:
        """Not there: ``AttributeError``, which says how a view gets one, as it had in 1.x (HT-01)."""
        raise AttributeError(
            "this request has no reply_channel: no message was made of it, Django's own handler answers it; for views "
            'that need one write route("http.request", ViewConsumer()) in the routing, with a path=r"^/..." for them'
        )


class DjangoHandler(ASGIHandler):
    """Django's handler of the requests that no route takes. Lifetime: process."""

    request_class = DjangoRequest


def build_application(layer: ChannelLayerWrapper) -> Application:
    """The application that serves ``layer`` as the settings say, with Django's own handler for HTTP.

    Raises:
        ImproperlyConfigured: No routing is named for the layer, or ``ROUTECHAN`` has a mistake.
    """
    if conf.routing_of(layer.alias, conf.layer_config(layer.alias) or {}) is None:
        raise ImproperlyConfigured(
            f"no routing is named for the channel layer {layer.alias!r}, so there are no consumers to serve; write "
            f'ROUTECHAN = {{"ROUTING": {{{layer.alias!r}: "project.routing.channel_routing"}}}}'
            if layer.alias != DEFAULT_CHANNEL_LAYER
            else 'no routing is named, so there are no consumers to serve; write ROUTECHAN = {"ROUTING": '
            '"project.routing.channel_routing"}'
        )
    return application_with(
        layer,
        http=DjangoHandler(),  # type: ignore[arg-type]
        options=conf.server_options(),
        threads=conf.thread_limit(),
        stream_threads=conf.stream_thread_limit(),
        socket_streams=conf.socket_stream_limit(),
        read_channels=conf.reads_channels(),
    )


def application_with(
    layer: ChannelLayerWrapper,
    *,
    http: ASGIApplication,
    options: ServerOptions,
    threads: int,
    stream_threads: int = STREAM_THREADS,
    socket_streams: int = SOCKET_STREAMS,
    read_channels: bool = True,
) -> Application:
    """The application that serves ``layer``, with its consumers here or in workers as ``CONSUMERS`` says.

    Args:
        layer: The layer, with the router of its consumers.
        http: The ASGI application for requests that no route takes.
        options: How connections are treated.
        threads: How many plain consumers run side by side, where they run here.
        stream_threads: How many plain generators stream beside them.
        socket_streams: How many generators stream to one socket at a time.
        read_channels: Whether the routing's own channels are consumed here too.
    """
    if conf.runs_in_workers(layer.alias):
        return relay_application(layer.layer, http=http, options=options, relay_http=layer.router)
    layer.router.check_default()
    return inline_application(
        dispatcher(layer),
        layer,
        http=http,
        options=options,
        threads=threads,
        stream_threads=stream_threads,
        socket_streams=socket_streams,
        read_channels=read_channels,
    )


def dispatcher(layer: ChannelLayerWrapper) -> Dispatcher:
    """The dispatcher of the consumers that ``layer``'s routing names, with Django's signals around each."""
    return Dispatcher(layer.router, timeout=conf.consumer_timeout(), **hooks(InlineConsumers, environ={}))
