"""The ASGI application of a Django project: HTTP to Django, sockets to the consumers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.utils.module_loading import import_string

from routechan.app import inline_application, relay_application
from routechan.asgi import Application
from routechan.asgi.lifespan import ASGIApplication
from routechan.asgi.translation import Scope
from routechan.asgi.writer import Receive, Send
from routechan.describe import name_that_thing
from routechan.dispatch import Dispatcher
from routechan.exceptions import InvalidChannelLayerError, UnknownChannelLayer
from routechan.inline import InlineConsumers
from routechan.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer
from routechan.layers import channel_layers as process_layers
from routechan.layers.registry import ChannelLayers
from routechan.routing import Router

from . import beside, conf
from .layer import ChannelLayerWrapper
from .signals import hooks

__all__ = [
    "ChannelLayerManager",
    "ChannelLayerWrapper",
    "InvalidChannelLayerError",
    "Router",
    "build_application",
    "channel_layers",
    "dispatcher",
    "forget_layers",
    "get_asgi_application",
    "get_channel_layer",
    "import_string",
    "make_layer",
    "name_that_thing",
    "settings",
    "with_routing",
]


def get_asgi_application(alias: str = DEFAULT_CHANNEL_LAYER) -> ASGIApplication:
    """For ``asgi.py``: Django's own handler for HTTP, the routing of the layer ``alias`` for sockets.

    Inside the routers of today's Channels it can stand under ``"http"``, ``"websocket"`` and ``"lifespan"``, and as
    the last entry of a ``URLRouter``, where it takes the sockets that no class-based consumer does.
    """
    return _ProjectApplication(_configured(alias))


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> ChannelLayerWrapper:
    """The configured layer, as in an ``asgi.py`` of 1.x; what it returns is an ASGI application too (LM-13)."""
    return _configured(alias)


class ChannelLayerManager(ChannelLayers):
    """The layers of ``CHANNEL_LAYERS`` by alias, each made on first use (LM-01 to LM-08). Lifetime: process.

    ``shared``: another registry whose layers these are too.
    """

    def __init__(self, shared: ChannelLayers | None = None) -> None:
        super().__init__()
        self.configure(_layer_of_settings)
        if shared is not None:
            self._layers, self._lock = shared._layers, shared._lock
            self.configure(make_layer)

    @property
    def configs(self) -> Mapping[str, Any]:
        """The setting, read anew each time."""
        return conf.layers()

    @property
    def backends(self) -> dict[str, Any]:
        """The layers made or set so far."""
        return self._layers

    def __contains__(self, alias: str) -> bool:
        """Whether the settings have this alias (LM-04)."""
        return alias in self.configs

    def make_backend(self, name: str) -> ChannelLayerWrapper:
        """A new layer from ``CONFIG``, kept by nobody (LM-05). ``InvalidChannelLayerError`` for a mistake in it."""
        layer = _layer_of_settings(name)
        if layer is None:
            raise UnknownChannelLayer(name, f"CHANNEL_LAYERS has {', '.join(self.configs) or 'no alias'}")
        return layer

    def make_test_backend(self, name: str) -> ChannelLayerWrapper:
        """A new layer from ``TEST_CONFIG``; ``InvalidChannelLayerError`` where there is none (LM-06)."""
        config = conf.layer_config(name)
        if config is None or "TEST_CONFIG" not in config:
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS[{name!r}] has no TEST_CONFIG; give it the options of the backend for tests, as in "
                "CONFIG"
            )
        return with_routing(name, config, conf.make_backend(name, config, "TEST_CONFIG"))


def make_layer(alias: str) -> ChannelLayerWrapper | None:
    """The layer ``CHANNEL_LAYERS`` describes, or None without such an alias; made anew when the setting changes."""
    layer = _layer_of_settings(alias)
    if layer is not None:
        _made[alias] = layer
    return layer


def _layer_of_settings(alias: str) -> ChannelLayerWrapper | None:
    config = conf.layer_config(alias)
    if config is None:
        return None
    make = _layer_of_channels if conf.shares_with_channels(config) else conf.make_backend
    return with_routing(alias, config, make(alias, config))


def with_routing(alias: str, config: Mapping[str, Any], backend: conf.Backend) -> ChannelLayerWrapper:
    """``backend`` with the routing that the settings name for ``alias``, if any."""
    routing = conf.routing_of(alias, config)
    return ChannelLayerWrapper(backend.sync, alias, () if routing is None else routing, build_application)


def forget_layers(*, setting: str, **kwargs: Any) -> None:
    """Have the layers made anew after the settings they were made from changed, in a test say."""
    if setting not in ("CHANNEL_LAYERS", "ROUTECHAN"):
        return
    for alias, layer in tuple(_made.items()):
        current = process_layers.set(alias, None)
        if current is not layer:  # set by hand since
            process_layers.set(alias, current)
    _made.clear()


def build_application(layer: ChannelLayerWrapper) -> Application:
    config = conf.layer_config(layer.alias) or {}
    if conf.routing_of(layer.alias, config) is None:
        raise ImproperlyConfigured(
            f"no routing is named for the channel layer {layer.alias!r}, so there are no consumers to serve; write "
            f'ROUTECHAN = {{"ROUTING": {{{layer.alias!r}: "project.routing.channel_routing"}}}}'
            if layer.alias != DEFAULT_CHANNEL_LAYER
            else 'no routing is named, so there are no consumers to serve; write ROUTECHAN = {"ROUTING": '
            '"project.routing.channel_routing"}'
        )
    if config.get("CONSUMERS", conf.INLINE) == conf.WORKERS:
        return relay_application(
            layer.layer,
            http=ASGIHandler(),  # type: ignore[arg-type]
            options=conf.server_options(),
            relay_http=layer.router,
        )
    layer.router.check_default()
    return inline_application(
        dispatcher(layer),
        layer,
        http=ASGIHandler(),  # type: ignore[arg-type]
        options=conf.server_options(),
        threads=conf.thread_limit(),
        read_channels=conf.reads_channels(),
    )


def dispatcher(layer: ChannelLayerWrapper) -> Dispatcher:
    """Runs the consumers of a layer's routing, with Django's signals around them."""
    return Dispatcher(layer.router, **hooks(InlineConsumers, environ={}))


class _ProjectApplication:
    """Serves with the layer that the settings describe now; in tests they change. Lifetime: process."""

    def __init__(self, layer: ChannelLayerWrapper) -> None:
        self._layer = layer
        self._application = build_application(layer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer = process_layers[self._layer.alias]
        if layer is not self._layer and isinstance(layer, ChannelLayerWrapper):
            self._layer, self._application = layer, build_application(layer)
        await self._application(scope, receive, send)


#: The layers made from the settings, by alias.
_made: dict[str, ChannelLayerWrapper] = {}

#: The layers of this process, which ``Channel`` and ``Group`` use, with what 1.x had besides.
channel_layers = ChannelLayerManager(process_layers)


def _layer_of_channels(alias: str, config: Mapping[str, Any]) -> BaseChannelLayer:
    """The layer that Channels has made, or makes now, from the same entry of ``CHANNEL_LAYERS``."""
    try:
        layer = beside.layer_of_channels(alias)
    except TypeError:
        conf.make_backend(alias, config)  # says what is wrong with CONFIG
        raise
    if not isinstance(layer, BaseChannelLayer):
        raise InvalidChannelLayerError(
            f"channels.layers.channel_layers[{alias!r}] was set by hand to {layer!r:.100}, on which no function "
            "consumer runs; set a layer of routechan.layers"
        )
    return layer


def _configured(alias: str) -> ChannelLayerWrapper:
    django.setup(set_prefix=False)
    layer = channel_layers[alias]
    if not isinstance(layer, ChannelLayerWrapper):
        raise ImproperlyConfigured(
            f"the channel layer {alias!r} was set by hand to {layer!r}, not made from CHANNEL_LAYERS; a Django project "
            "is served with the layers of its settings"
        )
    return layer
