"""Alias -> layer. Empty until somebody configures it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..exceptions import UnknownChannelLayer
from .base import SyncChannelLayer

DEFAULT_CHANNEL_LAYER = "default"

#: Makes the layer of an alias, or returns None where the alias is not configured.
Factory = Callable[[str], "SyncChannelLayer | None"]

_ADVICE = (
    "call routechan.application(routing) first, or in a Django project add 'routechan_django' to "
    "INSTALLED_APPS and this alias to CHANNEL_LAYERS"
)


class ChannelLayers:
    """The layers of this process by alias, each made on first use. Lifetime: process."""

    def __init__(self) -> None:
        self._layers: dict[str, SyncChannelLayer] = {}
        self._lock = threading.RLock()
        self._factory: Factory | None = None

    def configure(self, factory: Factory | None) -> None:
        """Ask ``factory`` for the aliases not set by hand."""
        self._factory = factory

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
        """The layers there are so far, by alias; none is made for it."""
        with self._lock:
            return dict(self._layers)

    def set(self, alias: str, layer: SyncChannelLayer | None) -> SyncChannelLayer | None:
        """Put ``layer`` under ``alias`` (None forgets it); returns the one that was there."""
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
                raise UnknownChannelLayer(alias, _ADVICE)
            self._layers[alias] = layer
            return layer


#: The one registry: ``Channel`` and ``Group`` look their layer up here.
channel_layers = ChannelLayers()
