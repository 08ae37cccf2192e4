"""What every test shares: a default in-memory layer of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers


@pytest.fixture
def default_layer() -> Iterator[SyncChannelLayer]:
    """The 1.x face of a fresh in-memory layer under the default alias."""
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync) as layer:
        yield layer
