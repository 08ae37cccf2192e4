"""Channel layers by alias.

The registry is empty until a program configures it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..exceptions import UnknownChannelLayer
from .base import SyncChannelLayer

DEFAULT_CHANNEL_LAYER = "default"

#: Makes the layer of an alias, or returns None where the alias is not configured.
Factory = Callable[[str], "SyncChannelLayer | None"]

_NOT_SET_UP = (
    "nothing has set up the layers of this process yet. In a Django project call django.setup() first, as manage.py "
    "and get_asgi_application() do, with 'routechan_django' in INSTALLED_APPS (above an app whose ready() sends) and "
    "this alias in CHANNEL_LAYERS; without Django call routechan.application(routing) first"
)


class ChannelLayers:
    """The layers of this process by alias, each made on first use. Lifetime: process."""

    def __init__(self) -> None:
        self._layers: dict[str, SyncChannelLayer] = {}
        self._lock = threading.RLock()
        self._factory: Factory | None = None

    def configure(self, factory: Factory | None) -> None:
        """Make the layers of aliases that were not ``set`` with ``factory``."""
        self._factory = factory

    @property
    def configured(self) -> bool:
        """Whether there is something that makes layers."""
        return self._factory is not None

    def __getitem__(self, alias: str) -> SyncChannelLayer:
        layer = self._layers.get(alias)
        if layer is None:
            layer = self._make(alias)
        return layer

    def __contains__(self, alias: str) -> bool:
        try:
            self[alias]
        except UnknownChannelLayer:
            return False
        return True

    def made(self) -> dict[str, SyncChannelLayer]:
        """The layers that were made or set so far, by alias."""
        with self._lock:
            return dict(self._layers)

    def set(self, alias: str, layer: SyncChannelLayer | None) -> SyncChannelLayer | None:
        """The layer that was at ``alias`` before ``layer`` (None removes it) takes its place."""
        with self._lock:
            previous = self._layers.pop(alias, None)
            if layer is not None:
                self._layers[alias] = layer
            return previous

    @contextmanager
    def override(self, alias: str, layer: SyncChannelLayer) -> Iterator[SyncChannelLayer]:
        """``layer`` under ``alias`` inside a ``with`` block, for tests."""
        previous = self.set(alias, layer)
        try:
            yield layer
        finally:
            self.set(alias, previous)

    def _make(self, alias: str) -> SyncChannelLayer:
        with self._lock:
            layer = self._layers.get(alias)
            if layer is None and self._factory is not None:
                layer = self._factory(alias)
            if layer is None:
                raise UnknownChannelLayer(alias, self._advice())
            self._layers[alias] = layer
            return layer

    def _advice(self) -> str:
        if self._layers:
            known = ", ".join(map(repr, self._layers))
            return f"this process has {known}; use one of these, or give the layer itself as channel_layer"
        return "configure it" if self.configured else _NOT_SET_UP


#: The one registry: ``Channel`` and ``Group`` look their layer up here.
channel_layers = ChannelLayers()
