"""Subscriptions where Redis takes nothing more, or the layer is closed."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from typing import Any

import pytest

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import RedisChannelLayer
from routechan.layers.base import Delivery
from routechan.layers.redis import driver
from tests.redis_servers import SingleServer

SOON = 20.0


async def test_too_much_waits_for_redis(single: SingleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for messages is refused for a while: they come all the same, as soon as there are any, as many as fit."""
    prefix = secrets.token_hex(6)
    options: dict[str, Any] = {"hosts": single.hosts, "prefix": prefix}
    found: list[int] = []
    came = asyncio.Event()

    def take(delivery: Delivery) -> None:
        found.append(delivery.content["n"])
        came.set()

    with closing(RedisChannelLayer(**options)) as layer, closing(RedisChannelLayer(**options)) as sender:
        subscription = layer.subscribe(["a", "b"], take, 1)
        await asyncio.sleep(0.05)
        for number in range(4):
            came.clear()
            await sender.send("ab"[number % 2], {"n": number})
            await asyncio.wait_for(came.wait(), SOON)
            with monkeypatch.context() as patch:
                patch.setattr(driver, "WAITING", 0)
                subscription.release("ab"[number % 2])
                with pytest.raises(ChannelLayerUnavailable):
                    await layer.send("c", {})
        assert found == [0, 1, 2, 3]
        with monkeypatch.context() as patch:
            patch.setattr(driver, "WAITING", 0)
            subscription.end()
        assert layer.engine.fetcher._asked == {}


async def test_a_closed_layer(single: SingleServer) -> None:
    """It has no messages any more: nobody can subscribe, and who has may go on to say that there is room."""
    layer = RedisChannelLayer(hosts=single.hosts, prefix=secrets.token_hex(6))
    layer.sync.send("a", {})
    taken = asyncio.Event()
    subscription = layer.subscribe(["a"], lambda delivery: taken.set(), 1)
    await asyncio.wait_for(taken.wait(), SOON)
    layer.close()
    subscription.release("a")
    subscription.end()
    with pytest.raises(ChannelLayerUnavailable, match="closed"):
        layer.subscribe(["a"], lambda delivery: None, 1)
