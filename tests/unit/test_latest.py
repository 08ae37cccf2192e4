"""``send(..., latest=...)`` of channels and groups: what it asks of their layer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, Group
from routechan.layers import SyncChannelLayer
from routechan.layers.base import EXCLUDE, LATEST
from tests.unit.helpers import ForeignLayer, run_here, run_on_loop


def headers(layer: SyncChannelLayer, channel: str) -> list[dict[str, Any]]:
    """Those of the messages that wait in ``channel``."""
    found = []
    while (delivery := layer.receive_delivery([channel])) is not None:
        found.append(delivery.headers)
    return found


@pytest.mark.parametrize("run", [run_here, lambda consumer: asyncio.run(run_on_loop(consumer))], ids=["thread", "loop"])
def test_from_a_consumer(default_layer: SyncChannelLayer, run: Any) -> None:
    """It travels beside the content, with the other arguments; a message without it has no headers."""
    Group("g").add("a")

    def consumer(message: Any) -> None:
        Group("g").send({}, latest="btc")
        Group("g").send({}, exclude="b", latest="btc")
        Channel("a").send({}, latest="btc")
        Channel("a").send({}, True, latest="btc")
        Channel("a").send({})

    run(consumer)
    btc = {LATEST: "btc"}
    assert headers(default_layer, "a") == [btc, btc, {EXCLUDE: "b", **btc}, btc, {}]


async def test_async_twins(default_layer: SyncChannelLayer) -> None:
    """The same argument."""
    await Group("g").aadd("a")
    await Group("g").asend({}, latest="btc")
    await Channel("a").asend({}, latest="btc")
    assert headers(default_layer, "a") == [{LATEST: "btc"}] * 2


@pytest.mark.parametrize("latest", ["", "x" * 101, 7, b"btc", ["btc"]])
@pytest.mark.parametrize("kind", [Group, Channel])
async def test_what_is_no_subject(default_layer: SyncChannelLayer, kind: Any, latest: Any) -> None:
    """The text says what came, where the send is."""
    target = kind("a")
    with pytest.raises(ValueError, match="latest says what the message is about, in text of 1 to 100 characters"):
        target.send({}, latest=latest)
    with pytest.raises(ValueError, match="such as 'btc'; it was "):
        await target.asend({}, latest=latest)


def test_layers_of_another_make() -> None:
    """They send each message."""
    layer = ForeignLayer()
    Group("chat", channel_layer=layer).send({}, latest="a")
    Channel("chat", channel_layer=layer).send({}, latest="a")
    assert [call[0] for call in layer.calls] == ["send_group", "send"]
