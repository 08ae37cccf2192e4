"""Thousands of sends in a process of its own, from where layers used to break.

``python -m tests.integration.redis.bulk WAY HOSTS PREFIX MESSAGES``; WAY is a key of ``WAYS``, HOSTS is JSON.
In the end the process takes what it sent off the channel again, and prints how many messages there were.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable

from asgiref.sync import async_to_sync

from routechan import Channel, Group
from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers

WORKERS = 4


def from_a_plain_thread(layer: RedisChannelLayer, messages: int) -> int:
    """A view of a WSGI server: an event loop for each send."""
    send = async_to_sync(layer.send)
    for number in range(messages):
        send("bulk", {"n": number})
    return _drain(layer)


def from_a_forked_child(layer: RedisChannelLayer, messages: int) -> int:
    """The parent used the layer; then both go on with it at once."""
    _use()
    pid = os.fork()
    if pid == 0:
        try:
            _send_many(messages // 2)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _send_many(messages - messages // 2)
    if os.waitpid(pid, 0)[1] != 0:
        raise RuntimeError("the forked child failed")
    return _drain(layer)


def from_a_prefork_pool(layer: RedisChannelLayer, messages: int) -> int:
    """As Celery does it."""
    _use()
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(_send_one, range(messages), chunksize=50)
        pool.close()
        pool.join()
    return _drain(layer)


def in_flight(layer: RedisChannelLayer, messages: int) -> int:
    """1,000 sends at once on one event loop, ten times."""

    async def send_all() -> None:
        for _ in range(messages // 1000):
            await asyncio.gather(*(layer.send("bulk", {"n": number}) for number in range(1000)))

    asyncio.run(send_all())
    return _drain(layer)


def _send_many(messages: int) -> None:
    for number in range(messages):
        _send_one(number)


def _send_one(number: int) -> None:
    Group("bulk").send({"n": number})


def _use() -> None:
    """Sending starts no thread, so that Python need not warn of the fork; a connection is open, though."""
    Group("bulk").add("bulk")
    Channel("other").send({"n": 0})


def _drain(layer: RedisChannelLayer) -> int:
    numbers: list[int] = []
    while (content := layer.sync.receive(["bulk"])[1]) is not None:
        numbers.append(content["n"])
    return len(numbers)


WAYS: dict[str, Callable[[RedisChannelLayer, int], int]] = {
    way.__name__: way for way in (from_a_plain_thread, from_a_forked_child, from_a_prefork_pool, in_flight)
}


def main(way: str, hosts: str, prefix: str, messages: str) -> None:
    # A busy machine makes tasks slow, which development mode warns of.
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith("Executing "))
    # What was sent first must not expire on a machine that takes a minute for the last.
    layer = RedisChannelLayer(hosts=json.loads(hosts), prefix=prefix, capacity=2 * int(messages), expiry=600)
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, layer.sync):
        print(WAYS[way](layer, int(messages)))


if __name__ == "__main__":
    main(*sys.argv[1:])
