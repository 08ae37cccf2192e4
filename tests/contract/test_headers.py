"""Headers travel beside the content, on every way a message can take, and no consumer sees them in it."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from typing import Any

import pytest

from routechan.exceptions import InvalidContent
from routechan.layers import BaseChannelLayer, SyncChannelLayer
from routechan.layers.base import Delivery
from tests.waiting import until

from .conftest import Backend, RedisBackend

HEADERS = {"tag": ["specific.server!", 7, 12.5], "trace": {"traceparent": "00-1-2-03"}}


async def subscribed(layer: BaseChannelLayer, *channels: str, count: int = 1) -> list[Delivery]:
    """The next deliveries of ``channels``."""
    found: list[Delivery] = []
    subscription = layer.subscribe(channels, found.append, 10)
    await until(lambda: len(found) >= count)
    subscription.end()
    return found


def through_the_async_face(layer: BaseChannelLayer, channel: str) -> Any:
    return layer.send(channel, {"n": 1}, headers=HEADERS)


def through_the_sync_face(layer: BaseChannelLayer, channel: str) -> Any:
    return asyncio.to_thread(layer.sync.send, channel, {"n": 1}, headers=HEADERS)


def later(layer: BaseChannelLayer, channel: str) -> Any:
    return layer.send(channel, {"n": 1}, 0.05, headers=HEADERS)


async def to_a_group(layer: BaseChannelLayer, channel: str) -> None:
    await layer.group_add("group", channel)
    await layer.group_send("group", {"n": 1}, headers=HEADERS)


async def to_a_group_through_the_sync_face(layer: BaseChannelLayer, channel: str) -> None:
    await layer.group_add("group", channel)
    await asyncio.to_thread(layer.sync.send_group, "group", {"n": 1}, headers=HEADERS)


async def to_a_group_later(layer: BaseChannelLayer, channel: str) -> None:
    await layer.group_add("group", channel)
    await layer.group_send("group", {"n": 1}, 0.05, headers=HEADERS)


@pytest.mark.parametrize(
    "send",
    [
        through_the_async_face,
        through_the_sync_face,
        later,
        to_a_group,
        to_a_group_through_the_sync_face,
        to_a_group_later,
    ],
)
async def test_headers_arrive_as_they_were_sent(
    layer: BaseChannelLayer, send: Callable[[BaseChannelLayer, str], Any]
) -> None:
    """house, "Headers": by every way to send; the content is what was sent, and nothing more."""
    for channel in ("headers", "headers?x", "headers.process!x"):
        await send(layer, channel)
        (delivery,) = await subscribed(layer, channel.partition("!")[0] + "!" if "!" in channel else channel)
        assert (delivery.channel, delivery.content, delivery.headers) == (channel, {"n": 1}, HEADERS)


async def test_receivers_do_not_share_headers(backend: Backend) -> None:
    """R13: each delivery has a dict of its own, and so has the sender."""
    layer = backend.make()
    headers: dict[str, Any] = {"tag": [1]}
    for channel in ("headers.a", "headers.b"):
        await layer.group_add("group", channel)
    await layer.group_send("group", {}, headers=headers)
    headers["tag"].append(2)
    first, second = await subscribed(layer, "headers.a", "headers.b", count=2)
    assert first.headers == second.headers == {"tag": [1]}
    assert first.headers is not second.headers


@pytest.mark.parametrize("given", [None, {}])
def test_a_message_without_headers(face: SyncChannelLayer, given: Any) -> None:
    """house, "Headers": an empty dict of the receiver's own."""
    for _ in range(2):
        face.send("headers", {"n": 1}, headers=given)
    first, second = face.receive_delivery(["headers"]), face.receive_delivery(["headers"])
    assert first is not None
    assert second is not None
    assert first.headers == second.headers == {}
    assert first.headers is not second.headers
    assert face.receive_delivery(["headers"]) is None


def test_the_1x_face_receives_the_content_alone(face: SyncChannelLayer) -> None:
    """2.2: ``receive`` gives the channel and the content; ``receive_delivery`` gives the headers too."""
    for _ in range(2):
        face.send("headers", {"n": 1}, headers=HEADERS)
    assert face.receive(["headers"]) == ("headers", {"n": 1})
    delivery = face.receive_delivery(["headers"])
    assert delivery is not None
    assert (delivery.channel, delivery.content, delivery.headers) == ("headers", {"n": 1}, HEADERS)


async def test_what_is_put_back_keeps_its_headers(layer: BaseChannelLayer) -> None:
    """R7: a subscription ends before its event loop has taken what it was given: the next reader gets it whole."""
    ending = layer.subscribe(["headers"], lambda delivery: None, 5)
    sending = threading.Thread(target=layer.sync.send, args=("headers", {"n": 1}), kwargs={"headers": HEADERS})
    sending.start()
    sending.join()  # on the event loop's own thread
    ending.end()
    (delivery,) = await subscribed(layer, "headers")
    assert (delivery.content, delivery.headers) == ({"n": 1}, HEADERS)


async def test_headers_from_another_process(backend: Backend) -> None:
    """house, "Headers": to a channel of one process, from another, alone and in a group."""
    if not isinstance(backend, RedisBackend):
        pytest.skip("one process")
    prefix = secrets.token_hex(6)
    here, there = backend.make(prefix=prefix), backend.make(prefix=prefix)
    name = await here.new_channel()
    await here.group_add("group", name)
    await there.send(name, {"n": 1}, headers=HEADERS)
    await there.group_send("group", {"n": 2}, headers=HEADERS)
    assert await asyncio.wait_for(here.receive(name), 5) == {"n": 1}
    assert await asyncio.wait_for(here.receive(name), 5) == {"n": 2}


def test_an_attached_queue_gets_the_content(face: SyncChannelLayer) -> None:
    """house, "Headers": sockets need none."""
    found: list[object] = []
    queue = f"specific.headers.{face.layer.process}!"
    face.layer.attach(queue, lambda channels, content: found.append((tuple(channels), content)))
    face.send(f"{queue}x", {"n": 1}, headers=HEADERS)
    assert found == [((f"{queue}x",), {"n": 1})]


@pytest.mark.parametrize("way", ["send", "send_group"])
def test_headers_that_cannot_travel(face: SyncChannelLayer, way: str) -> None:
    """R12: as content that cannot; nothing is sent."""
    face.group_add("headers", "headers")
    with pytest.raises(InvalidContent, match="is a set"):
        getattr(face, way)("headers", {}, headers={"tag": {1}})
    assert face.receive(["headers"]) == (None, None)


async def test_a_delivery_gives_its_slot_back_once(layer: BaseChannelLayer) -> None:
    """house, "Headers": ``release`` and ``done`` are idempotent, and ``on_done`` is called once."""
    found: list[Delivery] = []
    done: list[Delivery] = []
    subscription = layer.subscribe(["headers"], found.append, 1)
    for number in range(4):
        await layer.send("headers", {"n": number})
    await until(lambda: len(found) == 1)
    first = found[0]
    first.on_done = done.append
    first.release()
    first.release()
    await until(lambda: len(found) == 2)
    first.done()
    first.done()
    assert done == [first]
    await asyncio.sleep(0.05)
    assert len(found) == 2
    found[1].done()
    await until(lambda: len(found) == 3)
    assert len({*found}) == 3
    subscription.end()
