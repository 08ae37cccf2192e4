"""A row is stored, whether or not anybody can be told of it."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers
from routechan.telemetry.counters import counters
from routechan_django.binding.websockets import WebsocketBinding
from tests.waiting import stretched

from .models import Book

TIMEOUT = 0.3


@pytest.fixture
def away() -> Iterator[None]:
    """The default layer's Redis refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        layer = RedisChannelLayer(hosts=[bound.getsockname()], send_timeout=TIMEOUT)
        with channel_layers.override(DEFAULT_CHANNEL_LAYER, layer.sync):
            yield
        layer.close()


def test_a_save_is_no_error_and_takes_no_longer_than_the_layer_lets_a_send_wait(
    away: None, declared: list[type], caplog: pytest.LogCaptureFixture
) -> None:
    """One log line for each binding; what was not told is counted as lost."""
    caplog.set_level(logging.ERROR, "routechan")

    def declare(named: str) -> Any:
        class Told(WebsocketBinding):
            model = Book
            stream = named
            fields = ("title",)

            @classmethod
            def group_names(cls, instance: Any) -> list[str]:
                return [f"{named}-a", f"{named}-b", f"{named}-c"]

            def has_permission(self, user: Any, action: str, pk: Any) -> bool:
                return True

        Told.register()
        return Told

    for named in ("first", "second"):
        declare(named)
    lost, began = counters.lost, time.monotonic()
    book = Book.objects.create(title="A")
    book.title = "B"
    book.save()
    book.delete()
    assert time.monotonic() - began < TIMEOUT + stretched(1.0)
    assert counters.lost - lost == 2 * 3 * 3
    assert "first-a" in caplog.text
    assert "second-c" in caplog.text
    assert "Redis cannot be reached" in caplog.text
