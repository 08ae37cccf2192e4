"""A channel layer for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers


@contextmanager
def fresh_layer(alias: str = DEFAULT_CHANNEL_LAYER, **options: Any) -> Iterator[SyncChannelLayer]:
    """An empty in-memory layer under ``alias`` inside a ``with`` block; the one that was there comes back after it.

    ``options`` are those of ``InMemoryChannelLayer``.
    """
    with channel_layers.override(alias, InMemoryChannelLayer(**options).sync) as layer:
        yield layer
