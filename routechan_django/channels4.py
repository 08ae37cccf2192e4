"""Today's Channels in the same project: its class-based consumers and ours share the layer that Channels makes.

Channels refuses a ``ROUTING`` in ``CHANNEL_LAYERS``, so such a project puts the routing into ``ROUTECHAN``:

    CHANNEL_LAYERS = {"default": {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": {"hosts": [...]}}}
    ROUTECHAN = {"ROUTING": "project.routing.channel_routing"}

Only this module imports ``channels``, and only where it is installed.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@functools.cache
def channels_installed() -> bool:
    """Whether Channels 2 or later is installed.

    Reads the metadata of packages and imports nothing.
    """
    try:
        version = importlib.metadata.version("channels")
    except importlib.metadata.PackageNotFoundError:
        return False
    return not version.startswith(("0.", "1."))


def get_channels_layer(alias: str) -> Any:
    """The layer that class-based consumers get under ``alias``, as ``channels.layers.get_channel_layer`` returns it."""
    return importlib.import_module("channels.layers").channel_layers[alias]


def make_layers_with(replacement: Callable[[str], Any]) -> None:
    """Have class-based consumers get ``replacement(alias)``, where it is not None, when Channels makes a layer.

    Idempotent.
    """
    manager = importlib.import_module("channels.layers").channel_layers
    make = type(manager).make_backend

    def make_backend(alias: str) -> Any:
        layer = replacement(alias)
        return make(manager, alias) if layer is None else layer

    manager.make_backend = make_backend


@contextmanager
def override_channels_layer(alias: str, layer: Any) -> Iterator[None]:
    """A ``with`` block in which class-based consumers get ``layer`` under ``alias``; for tests."""
    manager = importlib.import_module("channels.layers").channel_layers
    previous = manager.set(alias, layer)
    try:
        yield
    finally:
        if previous is None:
            del manager.backends[alias]  # made on its next use
        else:
            manager.set(alias, previous)
