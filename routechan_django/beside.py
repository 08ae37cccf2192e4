"""Beside today's Channels in one project: consumers of both kinds use one layer, the one Channels has made.

Channels refuses a ``ROUTING`` in ``CHANNEL_LAYERS``, so such a project names ours in ``ROUTECHAN``:

    CHANNEL_LAYERS = {"default": {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": {"hosts": [...]}}}
    ROUTECHAN = {"ROUTING": "project.routing.channel_routing"}

This is the one place that imports ``channels``, and only where it is there.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@functools.cache
def channels_installed() -> bool:
    """Whether Channels 2 or later is installed; nothing is imported to find out."""
    try:
        version = importlib.metadata.version("channels")
    except importlib.metadata.PackageNotFoundError:
        return False
    return not version.startswith(("0.", "1."))


def layer_of_channels(alias: str) -> Any:
    """What ``channels.layers.get_channel_layer(alias)`` gives to class-based consumers."""
    return importlib.import_module("channels.layers").channel_layers[alias]


@contextmanager
def given_to_channels(alias: str, layer: Any) -> Iterator[None]:
    """Class-based consumers get ``layer`` under ``alias`` inside a ``with`` block, for tests."""
    manager = importlib.import_module("channels.layers").channel_layers
    previous = manager.set(alias, layer)
    try:
        yield
    finally:
        if previous is None:
            del manager.backends[alias]  # to be made when it is asked for
        else:
            manager.set(alias, previous)
