"""A group message passes over the member that its header ``exclude`` names, on every way it can take."""

from __future__ import annotations

import asyncio

from routechan.layers import BaseChannelLayer, SyncChannelLayer
from routechan.layers.base import EXCLUDE
from tests.waiting import until

from .conftest import Backend, RedisBackend
from .reading import aeverything, areceive, contents, everything


def test_plain_channels_and_those_of_a_queue_nobody_serves(face: SyncChannelLayer) -> None:
    """All others get it: those of the same queue, and those of other ones."""
    for member in ("one", "two", "queue!a", "queue!b", "other!a"):
        face.group_add("group", member)
    face.send_group("group", {"n": 1}, headers={EXCLUDE: "two"})
    face.send_group("group", {"n": 2}, headers={EXCLUDE: "queue!a"})
    assert contents(face, "one") == [{"n": 1}, {"n": 2}]
    assert contents(face, "two") == [{"n": 2}]
    received = [(channel, content["n"]) for channel, content in everything(face, "queue!")]
    assert sorted(received) == [("queue!a", 1), ("queue!b", 1), ("queue!b", 2)]
    assert [content["n"] for content in contents(face, "other!")] == [1, 2]


def test_who_is_no_member(face: SyncChannelLayer) -> None:
    """Nothing is different."""
    face.group_add("group", "one")
    face.send_group("group", {"n": 1}, headers={EXCLUDE: "two"})
    face.send_group("group", {"n": 2}, headers={EXCLUDE: "queue!a"})
    face.send_group("group", {"n": 3}, headers={"other": EXCLUDE})
    assert contents(face, "one") == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_channels_of_this_process(layer: BaseChannelLayer) -> None:
    """A message is not given to the channel, and waits for it nowhere; on both faces, and sent later too."""
    names = [await layer.new_channel() for _ in range(3)]
    for name in names:
        await layer.group_add("group", name)
    await layer.group_send("group", {"n": 1}, headers={EXCLUDE: names[0]})
    await asyncio.to_thread(layer.sync.send_group, "group", {"n": 2}, headers={EXCLUDE: names[1]})
    await layer.group_send("group", {"n": 3}, 0.01, headers={EXCLUDE: names[2]})
    assert [await areceive(layer, names[0]) for _ in range(2)] == [{"n": 2}, {"n": 3}]
    assert await aeverything(layer, names[1]) == [{"n": 1}, {"n": 3}]
    assert await aeverything(layer, names[2]) == [{"n": 1}, {"n": 2}]


async def test_sockets(layer: BaseChannelLayer) -> None:
    """What a server attaches is told of all members but that one."""
    delivered: list[tuple[list[str], object]] = []
    queue = f"websocket.send.abcdef.{layer.process}!"
    layer.attach(queue, lambda channels, content: delivered.append((list(channels), content["n"])))
    for name in "abc":
        await layer.group_add("group", queue + name)
    await layer.group_send("group", {"n": 1}, headers={EXCLUDE: queue + "b"})
    await layer.group_add("alone", queue + "a")
    await layer.group_send("alone", {"n": 2}, headers={EXCLUDE: queue + "a"})
    await layer.group_send("alone", {"n": 3}, headers={EXCLUDE: queue + "b"})
    await until(lambda: len(delivered) >= 2)
    assert delivered == [([queue + "a", queue + "c"], 1), ([queue + "a"], 3)]


async def test_a_socket_of_another_process(backend: Backend) -> None:
    """A worker leaves out the socket whose event it consumes; the others of that server get the message."""
    if not isinstance(backend, RedisBackend):
        return  # only one process
    server = backend.make(prefix="exclude")
    worker = backend.make(prefix="exclude")
    await server.flush()
    delivered: list[tuple[list[str], object]] = []
    queue = f"websocket.send.abcdef.{server.process}!"
    server.attach(queue, lambda channels, content: delivered.append((list(channels), content["n"])))
    for name in "abc":
        await server.group_add("group", queue + name)
    await worker.group_send("group", {"n": 1}, headers={EXCLUDE: queue + "b"})
    await worker.group_send("group", {"n": 2}, headers={EXCLUDE: "somebody"})
    await until(lambda: len(delivered) >= 2)
    assert [(sorted(channels), n) for channels, n in delivered] == [
        ([queue + "a", queue + "c"], 1),
        ([queue + "a", queue + "b", queue + "c"], 2),
    ]
