"""An empty table of delayed messages, and a layer whose channels hold ten messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers
from routechan_django.delay.models import DelayedMessage


@pytest.fixture(autouse=True)
def empty_table() -> Iterator[None]:
    yield
    DelayedMessage.objects.all().delete()


@pytest.fixture
def ten() -> Iterator[SyncChannelLayer]:
    """The default layer, in memory; each channel holds ten messages."""
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer(capacity=10).sync) as layer:
        yield layer
