"""The ASGI application of a Django project, and its channel layers by alias: the names of ``channels.asgi``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from routechan.asgi.lifespan import ASGIApplication
from routechan.asgi.translation import Scope
from routechan.asgi.writer import Receive, Send
from routechan.exceptions import InvalidChannelLayerError, UnknownChannelLayer
from routechan.inspection import imported_by, name_that_thing
from routechan.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer
from routechan.layers import channel_layers as process_layers
from routechan.layers.registry import ChannelLayers
from routechan.monitor import unserved
from routechan.routing import Router

from . import channels4, conf, testruns
from .alias.old_layers import old_face
from .application import build_application
from .conf.spelling import did_you_mean
from .layer import ChannelLayerWrapper

__all__ = [
    "ChannelLayerManager",
    "ChannelLayerWrapper",
    "InvalidChannelLayerError",
    "Router",
    "channel_layers",
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
    """The ASGI application for ``asgi.py``: HTTP goes to Django, sockets to the consumers of the layer's routing.

    Inside the routers of today's Channels it can stand under ``"http"``, ``"websocket"`` and ``"lifespan"``, and as
    the last entry of a ``URLRouter``, where it serves the sockets that no class-based consumer takes.

    Args:
        alias: The layer in ``CHANNEL_LAYERS``.

    Raises:
        UnknownChannelLayer: The settings have no such alias.
        ImproperlyConfigured: The layer has no routing, or was set by hand.
    """
    return _ProjectApplication(_configured_layer(alias))


def get_channel_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> ChannelLayerWrapper:
    """The layer ``alias`` of ``CHANNEL_LAYERS``; it is an ASGI application too, for an ``asgi.py`` of 1.x (LM-13).

    Raises:
        UnknownChannelLayer: The settings have no such alias.
        ImproperlyConfigured: The layer was set by hand.
    """
    return _configured_layer(alias)


class ChannelLayerManager(ChannelLayers):
    """The layers of ``CHANNEL_LAYERS`` by alias, each made on first use (LM-01 to LM-08). Lifetime: process.

    Args:
        shared: Another registry, to have the same layers as that one; by default the layers are this manager's own.
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
        """The layers made or set so far; assigning others, or {}, replaces all."""
        return self._layers

    @backends.setter
    def backends(self, layers: Mapping[str, Any]) -> None:
        with self._lock:
            kept = dict(layers)
            self._layers.clear()
            self._layers.update(kept)

    def __contains__(self, alias: str) -> bool:
        """Whether the settings have this alias (LM-04)."""
        return alias in self.configs

    def make_backend(self, name: str) -> ChannelLayerWrapper:
        """A new layer from the ``CONFIG`` of the alias ``name``; it is not kept (LM-05).

        Raises:
            UnknownChannelLayer: The settings have no such alias.
            InvalidChannelLayerError: Its entry has a mistake.
        """
        layer = _layer_of_settings(name)
        if layer is None:
            raise UnknownChannelLayer(name, _advice(name))
        return layer

    def make_test_backend(self, name: str) -> ChannelLayerWrapper:
        """A new layer from the ``TEST_CONFIG`` of the alias ``name`` (LM-06).

        Raises:
            InvalidChannelLayerError: It has no ``TEST_CONFIG``, or a mistake in it.
        """
        config = conf.layer_config(name)
        if config is None or "TEST_CONFIG" not in config:
            raise InvalidChannelLayerError(
                f"CHANNEL_LAYERS[{name!r}] has no TEST_CONFIG; give it the options of the backend for tests, as in "
                "CONFIG"
            )
        return with_routing(name, config, conf.make_backend(name, config, "TEST_CONFIG"))


def make_layer(alias: str) -> ChannelLayerWrapper:
    """The layer that ``CHANNEL_LAYERS`` describes under ``alias``; ``forget_layers`` will know it.

    Raises:
        UnknownChannelLayer: The settings have no such alias.
    """
    layer = _layer_of_settings(alias)
    if layer is None:
        raise UnknownChannelLayer(alias, _advice(alias))
    forgotten = _forgotten.pop(alias, None)
    if forgotten is not None:  # groups that were made at import hold it
        forgotten.become(layer)
        layer = forgotten
    testruns.watch(layer)
    if isinstance(layer.layer, BaseChannelLayer) and not conf.shares_with_channels(conf.layers()[alias]):
        unserved.watch(layer.layer, testruns.in_test_run)
    _made[alias] = layer
    return layer


def _advice(alias: str) -> str:
    aliases = conf.layer_aliases()
    if not aliases:
        return (
            f'CHANNEL_LAYERS is empty; write CHANNEL_LAYERS = {{"{alias}": {{"BACKEND": "{conf.MEMORY}", '
            '"ROUTING": "project.routing.channel_routing"}}'
        )
    return (
        f"CHANNEL_LAYERS has {', '.join(map(repr, aliases))}{did_you_mean(alias, aliases)}; use one of these, or add it"
    )


def _layer_of_settings(alias: str) -> ChannelLayerWrapper | None:
    config = conf.layer_config(alias)
    if config is None:
        return None
    make = _layer_of_channels if conf.shares_with_channels(config) else _own_layer
    return with_routing(alias, config, make(alias, config))


def _own_layer(alias: str, config: Mapping[str, Any]) -> conf.Backend:
    return testruns.backend_for_tests(alias, config) or conf.make_backend(alias, config)


def with_routing(alias: str, config: Mapping[str, Any], backend: conf.Backend) -> ChannelLayerWrapper:
    """The 1.x face of a layer, with the routing that the settings name for it, if any.

    Args:
        alias: The layer's alias.
        config: Its entry of ``CHANNEL_LAYERS``.
        backend: The layer itself.
    """
    routing = conf.routing_of(alias, config)
    face = old_face(backend, config.get("BACKEND"))
    return ChannelLayerWrapper(face, alias, () if routing is None else routing, build_application)


def forget_layers(*, setting: str, **kwargs: Any) -> None:
    """Make the layers anew when a setting that they were made from changes, as in tests.

    Who holds one from before, such as a group that was made at import, has what is new. A ``setting_changed`` receiver.

    Args:
        setting: The name of the setting that changed.
        **kwargs: What else the signal sends; unused.
    """
    if setting not in ("CHANNEL_LAYERS", "ROUTECHAN"):
        return
    for alias, layer in tuple(_made.items()):
        current = process_layers.set(alias, None)
        if current is not layer:  # it was set by hand meanwhile
            process_layers.set(alias, current)
    _forgotten.update(_made)
    _made.clear()
    for alias in tuple(_forgotten):
        with suppress(Exception):  # raised again when the layer is used
            if not conf.shares_with_channels(conf.layers()[alias]):  # Channels may not have forgotten its own yet
                process_layers[alias]


class _ProjectApplication:
    """Serves the layer that is configured now, which tests replace. Lifetime: process."""

    def __init__(self, layer: ChannelLayerWrapper) -> None:
        self._build(layer)

    def _build(self, layer: ChannelLayerWrapper) -> None:
        self._layer, self._backend, self._application = layer, layer.layer, build_application(layer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        layer = process_layers[self._layer.alias]
        if isinstance(layer, ChannelLayerWrapper) and (layer is not self._layer or layer.layer is not self._backend):
            self._build(layer)
        await self._application(scope, receive, send)


#: The layers made from the settings, by alias.
_made: dict[str, ChannelLayerWrapper] = {}

#: Those that were made before the settings changed, which happens in tests only.
_forgotten: dict[str, ChannelLayerWrapper] = {}

#: The layers of this process, the ones ``Channel`` and ``Group`` use, with the methods 1.x had.
channel_layers = ChannelLayerManager(process_layers)


def _layer_of_channels(alias: str, config: Mapping[str, Any]) -> BaseChannelLayer:
    """The layer that Channels has made, or makes now, from the same entry of ``CHANNEL_LAYERS``."""
    try:
        layer = channels4.get_channels_layer(alias)
    except TypeError:
        conf.make_backend(alias, config)  # raises the better error
        raise
    if not isinstance(layer, BaseChannelLayer):
        raise InvalidChannelLayerError(
            f"channels.layers.channel_layers[{alias!r}] was set by hand to {layer!r:.100}, on which no function "
            "consumer runs; set a layer of routechan.layers"
        )
    return layer


def _configured_layer(alias: str) -> ChannelLayerWrapper:
    try:
        django.setup(set_prefix=False)
    except RuntimeError as error:
        if not apps.loading:
            raise
        if not apps.models_ready:
            raise ImproperlyConfigured(
                f"the channel layer {alias!r} was asked for{imported_by()}, while Django loads the apps; ask for it "
                "inside a function, or use Channel and Group, which find their layer when they are used"
            ) from error
    if not process_layers.configured:
        raise ImproperlyConfigured("add 'routechan_django' to INSTALLED_APPS; without it there are no channel layers")
    layer = channel_layers[alias]
    if not isinstance(layer, ChannelLayerWrapper):
        raise ImproperlyConfigured(
            f"the channel layer {alias!r} was set by hand to {layer!r}, not made from CHANNEL_LAYERS; a Django project "
            "is served with the layers of its settings"
        )
    return layer
