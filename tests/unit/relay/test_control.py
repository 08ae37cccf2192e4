"""Control messages of a relaying server: they are sent beside the events, and nothing waits for them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from routechan.relay import server as server_module
from tests.waiting import until

from ..asgi.clients import ticks
from ..helpers import DEADLINE
from .helpers import relaying


async def test_workers_that_cannot_be_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """They find out by themselves; whatever class the error has, events go on."""
    async with relaying() as relay:

        def refuse(channel: str, content: Any) -> None:
            raise OSError("a layer of another make is away")

        with monkeypatch.context() as patched:
            patched.setattr(relay.layer, "post", refuse)
            relay.consumers.tell("specific.x.worker!", {"closed": "someone"})
            await until(lambda: "Workers could not be told that a connection is closed" in caplog.text)
        [event] = relay.send(1)
        assert await relay.take(1) == [1]
        relay.ack(1)
        await asyncio.wait_for(event, DEADLINE)


async def test_requests_whose_disconnects_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    """Workers need no route for http.disconnect, so its channel is full as a rule: one line, and no warning."""
    caplog.set_level(logging.INFO, "routechan")
    async with relaying() as relay:
        for _ in range(110):
            relay.consumers.tell("http.disconnect", {"reply_channel": "http.response.x!y", "path": "/"})
        await until(lambda: not relay.consumers._control_tasks)
        lines = [record for record in caplog.records if "could not be told" in record.message]
        assert [record.levelno for record in lines] == [logging.INFO]


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_has_not_left_when_the_server_stops(monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    """It has a second to leave; then the layer is believed to be away."""
    monkeypatch.setattr(server_module, "CONTROL_TIMEOUT", DEADLINE if leaves else 0.01)
    outcomes: list[str] = []
    stopping = asyncio.Event()

    async def leaving() -> None:
        try:
            await (stopping if leaves else asyncio.Event()).wait()
            outcomes.append("left")
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise

    async with relaying() as relay:
        monkeypatch.setattr(relay.layer, "post", lambda channel, content: leaving())
        relay.consumers.tell("specific.x.worker!", {"closed": "someone"})
        await ticks()
        asyncio.get_running_loop().call_later(0.01, stopping.set)
    await until(lambda: outcomes)
    assert outcomes == ["left" if leaves else "cancelled"]
