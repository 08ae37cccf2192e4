"""Messages go in at one end and come out at the other, once, in order, on both faces."""

from __future__ import annotations

import asyncio

import pytest

from routechan.exceptions import InvalidName, WouldBlock
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .reading import SOON, aeverything, areceive, contents, everything

# The 1.x face


def test_messages_come_back_in_order_with_the_name_of_their_channel(face: SyncChannelLayer) -> None:
    """items 1, 2, 3: three sends are three receives; here their order is promised as well."""
    for value in ("blue", "green", "red"):
        face.send("sr_test", {"value": value})
    assert everything(face, "sr_test") == [("sr_test", {"value": value}) for value in ("blue", "green", "red")]


def test_receive_takes_from_any_of_several_channels(face: SyncChannelLayer) -> None:
    """item 4: one channel drained, the other holds a message."""
    face.send("sr_first", {"value": "first"})
    assert face.receive(["sr_first"]) == ("sr_first", {"value": "first"})
    face.send("sr_second", {"value": "second"})
    assert face.receive(["sr_first", "sr_second"]) == ("sr_second", {"value": "second"})


def test_a_process_specific_queue_is_read_by_its_prefix(face: SyncChannelLayer) -> None:
    """items 5, 6: the full name comes back beside exactly the dict that was sent."""
    face.send("spr_test!a", {"best": "foo"})
    assert face.receive(["spr_test!"]) == ("spr_test!a", {"best": "foo"})
    face.send("spr_test!b", {"second": "message"})
    assert face.receive(["spr_test!"]) == ("spr_test!b", {"second": "message"})


def test_a_process_specific_queue_keeps_the_order_of_its_channels(face: SyncChannelLayer) -> None:
    """section 1.2: one queue for each ``remote!``, strict order for a single reader."""
    for number, local in enumerate("abab"):
        face.send(f"spr_test!{local}", {"number": number})
    assert everything(face, "spr_test!") == [
        (f"spr_test!{local}", {"number": number}) for number, local in enumerate("abab")
    ]


def test_a_bare_prefix_is_a_channel_too(face: SyncChannelLayer) -> None:
    """section 1.1: one may send to ``foo!``; it is delivered as channel ``foo!``."""
    face.send("spr_test!", {"a": 1})
    assert face.receive(["spr_test!"]) == ("spr_test!", {"a": 1})


def test_a_process_specific_channel_cannot_be_received_by_its_full_name(face: SyncChannelLayer) -> None:
    """item 7: the owner reads the whole queue; the text says which name to use."""
    with pytest.raises(InvalidName, match=r"receive from 'spr_test!', the part up to '!', not from 'spr_test!c'"):
        face.receive(["spr_test!c"])


def test_a_single_reader_name_need_not_come_from_new_channel(face: SyncChannelLayer) -> None:
    """section 1.2: 1.x made wait channels of its own, such as these."""
    face.send("__wait__.websocket.send.abc?def", {"original_channel": "websocket.receive", "__retries__": 1})
    assert face.receive(["__wait__.websocket.send.abc?def"]) == (
        "__wait__.websocket.send.abc?def",
        {"original_channel": "websocket.receive", "__retries__": 1},
    )


def test_nothing_there_is_a_pair_of_nones(face: SyncChannelLayer) -> None:
    """section 2.2: ``(None, None)``, at once without ``block``."""
    assert face.receive(["sr_test"]) == (None, None)


@pytest.mark.parametrize("block", [False, True])
def test_no_channels_is_no_error(face: SyncChannelLayer, block: bool) -> None:
    """section 2.3: an empty list gives ``(None, None)``; waiting for nothing would be for ever."""
    assert face.receive([], block=block) == (None, None)


def test_the_channels_may_be_any_iterable(face: SyncChannelLayer) -> None:
    """section 2.3: a generator is not used up by the check of its names."""
    face.send("sr_test", {"a": 1})
    assert face.receive(name for name in ["sr_other", "sr_test"]) == ("sr_test", {"a": 1})


def test_a_busy_channel_does_not_starve_a_quiet_one(face: SyncChannelLayer) -> None:
    """section 2.3: the names are asked in another order each time."""
    for number in range(60):
        face.send("busy", {"number": number})
    face.send("quiet", {"here": True})
    received = [face.receive(["busy", "quiet"])[0] for _ in range(50)]
    assert "quiet" in received


def test_receive_many_is_the_older_name_of_receive(face: SyncChannelLayer) -> None:
    """section 2.1: 1.x workers call this name, with ``block`` by keyword or by position."""
    face.send("sr_test", {"a": 1})
    face.send("sr_test", {"a": 2})
    assert face.receive_many(["sr_test"], block=True) == ("sr_test", {"a": 1})
    assert face.receive_many(["sr_test"], True) == ("sr_test", {"a": 2})


def test_a_message_sent_to_nobody_waiting_is_kept(face: SyncChannelLayer, layer: BaseChannelLayer) -> None:
    """section 8.1, 21 (P1): both faces see the same channels, whoever was there first."""
    face.send("sr_test", {"from": "sync"})
    assert asyncio.run(areceive(layer, "sr_test")) == {"from": "sync"}
    asyncio.run(layer.send("sr_test", {"from": "async"}))
    assert face.receive(["sr_test"]) == ("sr_test", {"from": "async"})


def test_flush_removes_messages(face: SyncChannelLayer) -> None:
    """item 22."""
    face.send("fl_test", {"blue": "green"})
    face.flush()
    assert face.receive(["fl_test"]) == (None, None)
    face.send("fl_test", {"after": True})
    assert contents(face, "fl_test") == [{"after": True}]


async def test_a_blocking_receive_is_refused_on_the_loop(face: SyncChannelLayer) -> None:
    """design section 4: an operation that would block the loop names its async twin."""
    with pytest.raises(
        WouldBlock, match=r"receive\(block=True\) would block the event loop; write: await layer.receive\(channel\)"
    ):
        face.receive(["sr_test"], block=True)


async def test_the_rest_of_the_1x_face_works_on_the_loop(face: SyncChannelLayer) -> None:
    """design section 4: only what would wait is refused; after a refusal nothing is lost."""
    with pytest.raises(WouldBlock):
        face.receive(["sr_test"], block=True)
    face.send("sr_test", {"a": 1})
    assert face.receive(["sr_test"]) == ("sr_test", {"a": 1})


# The async face


async def test_async_messages_come_back_in_order(layer: BaseChannelLayer) -> None:
    """items 63, 68, 121, 126: content only, in the order of the sends."""
    for value in (1, 2, 3):
        await layer.send("test-channel", {"type": "test.message", "value": value})
    assert [await areceive(layer, "test-channel") for _ in range(3)] == [
        {"type": "test.message", "value": value} for value in (1, 2, 3)
    ]


async def test_async_receive_waits_for_a_message(layer: BaseChannelLayer) -> None:
    """section 2.10: ``receive`` waits; item 118: it can be given up."""
    receiving = asyncio.create_task(layer.receive("test-channel"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not receiving.done()
    await layer.send("test-channel", {"a": 1})
    assert await asyncio.wait_for(receiving, SOON) == {"a": 1}


async def test_async_receivers_are_served_in_the_order_they_came(layer: BaseChannelLayer) -> None:
    """section 1.2: each message goes to one reader, and no reader is left out."""
    receiving = []
    for _ in range(3):
        receiving.append(asyncio.create_task(layer.receive("test-channel")))
        await asyncio.sleep(0)
    for number in range(3):
        await layer.send("test-channel", {"number": number})
    received = await asyncio.wait_for(asyncio.gather(*receiving), SOON)
    assert sorted(content["number"] for content in received) == [0, 1, 2]


async def test_async_receive_on_a_full_name_gives_only_its_messages(layer: BaseChannelLayer) -> None:
    """section 1.2: Channels 4 consumers read the name they got from ``new_channel``, and expect no other's."""
    first, second = await layer.new_channel(), await layer.new_channel()
    await layer.send(second, {"to": "second"})
    await layer.send(first, {"to": "first"})
    assert await areceive(layer, first) == {"to": "first"}
    assert await areceive(layer, second) == {"to": "second"}


async def test_one_waiting_name_does_not_hold_up_another(layer: BaseChannelLayer) -> None:
    """section 8.1, 10 (C7): no head-of-line blocking between the names of one process, or their prefixes."""
    idle = await layer.new_channel("first")
    busy = await layer.new_channel("second")
    same = await layer.new_channel("first")
    waiting = [asyncio.create_task(layer.receive(idle))]
    for name in (busy, same):
        waiting.append(asyncio.create_task(layer.receive(name)))
    await asyncio.sleep(0)
    await layer.send(same, {"to": "same"})
    await layer.send(busy, {"to": "busy"})
    assert await asyncio.wait_for(waiting[1], SOON) == {"to": "busy"}
    assert await asyncio.wait_for(waiting[2], SOON) == {"to": "same"}
    assert not waiting[0].done()
    await layer.send(idle, {"to": "idle"})
    assert await asyncio.wait_for(waiting[0], SOON) == {"to": "idle"}


async def test_a_process_specific_name_round_trips(layer: BaseChannelLayer) -> None:
    """items 67, 105, 125."""
    name = await layer.new_channel()
    await layer.send(name, {"type": "test.message", "text": "Ahoy-hoy!"})
    assert await areceive(layer, name) == {"type": "test.message", "text": "Ahoy-hoy!"}


async def test_posts_take_effect_in_the_order_they_are_made(layer: BaseChannelLayer) -> None:
    """the contract of ``post``: started now, without waiting; awaited later for the outcome."""
    pending = [layer.post("test-channel", {"number": number}) for number in range(5)]
    await asyncio.gather(*(waiting for waiting in pending if waiting is not None))
    assert [content["number"] for content in await aeverything(layer, "test-channel")] == list(range(5))


async def test_async_flush_removes_messages(layer: BaseChannelLayer) -> None:
    """item 22, on the async face."""
    await layer.send("fl_test", {"blue": "green"})
    await layer.flush()
    assert await aeverything(layer, "fl_test") == []


async def test_a_receiver_that_waits_survives_a_flush(layer: BaseChannelLayer) -> None:
    """section 2.2: flush removes messages and groups, not readers."""
    receiving = asyncio.create_task(layer.receive("fl_test"))
    await asyncio.sleep(0)
    await layer.flush()
    await layer.send("fl_test", {"after": True})
    assert await asyncio.wait_for(receiving, SOON) == {"after": True}
