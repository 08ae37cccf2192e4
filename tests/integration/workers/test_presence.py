"""Presence through servers and workers: each join and each leave reaches one consumer, once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.waiting import stretched

from .fleet import SERVER, Fleet

#: Seconds until something is told at the latest: after the death of a process that is lease and linger.
SOON = 15.0

INLINE = tuple("tests.integration.workers.people_app:app" if part.endswith(":app") else part for part in SERVER)


@pytest.fixture(params=["inline", "workers"])
def site(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Fleet]:
    """Two servers that run the consumers, or leave them to two workers."""
    environment = {"ROUTING": "tests.integration.workers.people.channel_routing", "LAYER_OPTIONS": '{"linger": 1.0}'}
    inline = request.param == "inline"
    with Fleet(
        redis_url, servers=2, workers=0 if inline else 2, environment=environment, server=INLINE if inline else SERVER
    ) as fleet:
        yield fleet


@asynccontextmanager
async def opened(site: Fleet, server: int, path: str) -> AsyncIterator[ClientConnection]:
    async with connect(site.urls(path)[server]) as socket:
        yield socket


async def hears(watcher: ClientConnection) -> str:
    return str(await asyncio.wait_for(watcher.recv(), stretched(SOON)))


async def present(socket: ClientConnection) -> list[str]:
    await socket.send("who is there?")
    found: list[str] = json.loads(await hears(socket))
    return found


async def test_joins_and_leaves_of_a_site(site: Fleet) -> None:
    """Two windows on two servers are one person; a reload is nothing; SIGKILL of a server is a leave in the end."""
    async with opened(site, 0, "/watch") as watcher, opened(site, 0, "/in/ann") as first:
        assert await hears(watcher) == "group.join 1 ann"
        async with opened(site, 1, "/in/ann"):
            bob = await connect(site.urls("/in/bob")[1])
            assert await hears(watcher) == "group.join 1 bob"
            assert await present(first) == ["ann", "bob"]
            await bob.close()
            bob = await connect(site.urls("/in/bob")[1])  # loaded again
            cid = await connect(site.urls("/in/cid")[0])
            assert await hears(watcher) == "group.join 1 cid"
            assert await present(bob) == ["ann", "bob", "cid"]
            os.killpg(site.servers[1].process.pid, signal.SIGKILL)
            await cid.close()
            assert await hears(watcher) == "group.leave 1 cid"
            assert await hears(watcher) == "group.leave 1 bob"
            assert await present(first) == ["ann"]
        await first.close()
        assert await hears(watcher) == "group.leave 1 ann"
