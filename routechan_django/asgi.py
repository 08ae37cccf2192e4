"""The ASGI application of a Django project: HTTP to Django, sockets to the consumers."""

from __future__ import annotations

import functools
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler

from routechan.app import inline_application
from routechan.asgi import Application
from routechan.dispatch import Dispatcher
from routechan.inline import InlineConsumers
from routechan.kinds import Consumer
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers
from routechan.message import Message

from . import conf
from .layer import ChannelLayerWrapper
from .signals import consumer_failed, consumer_finished, consumer_started


def get_asgi_application(alias: str = DEFAULT_CHANNEL_LAYER) -> Application:
    """For ``asgi.py``: Django's own handler for HTTP, the routing of the layer ``alias`` for sockets."""
    return build_application(_configured(alias))


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> ChannelLayerWrapper:
    """The configured layer, as in an ``asgi.py`` of 1.x; what it returns is an ASGI application too (LM-13)."""
    return _configured(alias)


def make_layer(alias: str) -> ChannelLayerWrapper | None:
    """The layer ``CHANNEL_LAYERS`` describes, or None where it has no such alias."""
    config = conf.layer_config(alias)
    if config is None:
        return None
    backend = conf.make_backend(alias, config)
    return ChannelLayerWrapper(backend.sync, alias, config["ROUTING"], build_application)


def build_application(layer: ChannelLayerWrapper) -> Application:
    config = conf.layer_config(layer.alias) or {}
    if config.get("CONSUMERS", conf.INLINE) != conf.INLINE:
        raise ImproperlyConfigured(
            f"CHANNEL_LAYERS[{layer.alias!r}]['CONSUMERS'] is {config['CONSUMERS']!r}, which this version does not "
            f"have yet; write {conf.INLINE!r}"
        )
    layer.router.check_default()
    return inline_application(
        dispatcher(layer),
        layer,
        http=ASGIHandler(),  # type: ignore[arg-type]
        options=conf.server_options(),
        threads=conf.thread_limit(),
    )


def dispatcher(layer: ChannelLayerWrapper) -> Dispatcher:
    """Runs the consumers of a layer's routing, with Django's signals around them."""
    sender = InlineConsumers

    def failed(message: Message, consumer: Consumer, error: BaseException) -> Any:
        return consumer_failed.send(sender, message=message, consumer=consumer, exception=error)

    return Dispatcher(
        layer.router,
        started=functools.partial(consumer_started.send, sender, environ={}),
        finished=functools.partial(consumer_finished.send, sender),
        failed=failed,
    )


def _configured(alias: str) -> ChannelLayerWrapper:
    django.setup(set_prefix=False)
    layer = channel_layers[alias]
    if not isinstance(layer, ChannelLayerWrapper):
        raise ImproperlyConfigured(
            f"the channel layer {alias!r} was set by hand to {layer!r}, not made from CHANNEL_LAYERS; a Django project "
            "is served with the layers of its settings"
        )
    return layer
