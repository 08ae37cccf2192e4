"""The header ``latest`` of a message reaches whoever serves its sockets, on every way that the message can take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from routechan.concurrency import maybe_await
from routechan.encoding import Content
from routechan.layers import BaseChannelLayer
from routechan.layers.base import LATEST
from tests.waiting import until

from .conftest import Backend, RedisBackend
from .reading import contents

HEADERS = {LATEST: "btc"}


class Taker:
    """What a server attaches, to the sockets ``a`` and ``b`` of a layer. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.queue = f"websocket.send.abcdef.{layer.process}!"
        self.taken: dict[int, Any] = {}
        layer.attach(self.queue, self)

    def __call__(self, channels: Sequence[str], content: Content, latest: str | None = None) -> None:
        self.taken[content["n"]] = latest


async def test_in_one_process(layer: BaseChannelLayer) -> None:
    """To a socket and to a group, on both faces, at once and later; other messages have no such argument."""
    taker = Taker(layer)
    channel, face = taker.queue + "a", layer.sync
    await layer.group_add("group", channel)
    await layer.send(channel, {"n": 0}, headers=HEADERS)
    await maybe_await(layer.post(channel, {"n": 1}, headers=HEADERS))
    await layer.send(channel, {"n": 2}, 0.01, headers=HEADERS)
    await asyncio.to_thread(face.send, channel, {"n": 3}, headers=HEADERS)
    await layer.group_send("group", {"n": 4}, headers=HEADERS)
    await maybe_await(layer.post_group("group", {"n": 5}, headers=HEADERS))
    await layer.group_send("group", {"n": 6}, 0.01, headers=HEADERS)
    await asyncio.to_thread(face.send_group, "group", {"n": 7}, headers={"trace": {}, **HEADERS})
    await layer.send(channel, {"n": 8}, headers={"trace": {LATEST: "other"}})
    await layer.group_send("group", {"n": 9}, headers={"trace": {LATEST: "other"}})
    await layer.group_send("group", {"n": 10})
    await until(lambda: len(taker.taken) == 11)
    assert taker.taken == {**dict.fromkeys(range(8), "btc"), 8: None, 9: None, 10: None}


async def test_from_another_process(backend: Backend) -> None:
    """What a worker sends to the sockets of a server."""
    if not isinstance(backend, RedisBackend):
        return  # only one process
    server, worker = backend.make(prefix="latest"), backend.make(prefix="latest")
    await server.flush()
    taker = Taker(server)
    channel = taker.queue + "a"
    await server.group_add("group", channel)
    await worker.send(channel, {"n": 0}, headers=HEADERS)
    await worker.group_send("group", {"n": 1}, headers=HEADERS)
    await worker.send(channel, {"n": 2}, 0.01, headers=HEADERS)
    await worker.group_send("group", {"n": 3}, 0.01, headers=HEADERS)
    await worker.send(channel, {"n": 4})
    await until(lambda: len(taker.taken) == 5)
    assert taker.taken == {**dict.fromkeys(range(4), "btc"), 4: None}


async def test_a_history(backend: Backend) -> None:
    """Each message keeps its place; those who catch up are given them with their subjects."""
    layer = backend.make(history={"group": {"size": 10, "seconds": 60}})
    await layer.flush()
    taker = Taker(layer)
    for number in range(3):
        await layer.group_send("group", {"n": number}, headers=HEADERS)
    await layer.group_catch_up("group", taker.queue + "a", last=2)
    await layer.group_send("group", {"n": 3}, headers=HEADERS)
    await until(lambda: len(taker.taken) == 3)
    assert taker.taken == dict.fromkeys((1, 2, 3), "btc")
    assert [entry.content["n"] for entry in await layer.group_history("group")] == [0, 1, 2, 3]


async def test_other_channels(layer: BaseChannelLayer) -> None:
    """Consumers of a channel get each message."""
    for number in range(2):
        await layer.send("plain", {"n": number}, headers=HEADERS)
    assert await asyncio.to_thread(contents, layer.sync, "plain") == [{"n": 0}, {"n": 1}]
