"""Events in flight: what ends those that no ack comes for, and what does not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from routechan import Message, route
from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers import SyncChannelLayer
from routechan.relay import inflight
from routechan.relay.protocol import WORKERS, ack, heartbeat
from tests.waiting import stretched, until

from ..asgi.clients import Client, Open, logged
from ..helpers import DEADLINE, of_kind
from .helpers import RECEIVE, SOCKET, echo, relaying, serving, working


async def test_a_lost_event(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """What was taken and has no heartbeat is lost with its worker; the connection goes on, soon."""
    now = asyncio.get_running_loop().time
    async with serving(default_layer) as application, Client(application, "/lost/") as client:
        # This worker dies with the first event in its hands.
        await default_layer.layer.receive("websocket.connect")
        taken_at = now()
        async with working(default_layer, *SOCKET, route(RECEIVE, echo)):
            client.send("after it")
            await until(lambda: "lost with the worker" in caplog.text, "it is noticed")
            assert now() - taken_at < stretched(2.0)
            client.leave()
            await client.over()
    assert any("websocket.connect of '/lost/' is lost" in text for text in logged(caplog))


@pytest.mark.parametrize(("kind", "classic"), [("plain", False), ("async", False), ("plain", True)])
async def test_a_long_event_is_no_lost_one(
    default_layer: SyncChannelLayer, kind: str, classic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers tell of what they are running, of a consumer that holds up the event loop too."""
    assert inflight.SILENCE + inflight.SUSPICION < 1.6

    def slow(message: Message) -> None:
        time.sleep(1.6)
        message.reply_channel.send({"text": "at last"})

    worker = working(default_layer, *SOCKET, route(RECEIVE, of_kind(kind, slow)), classic=classic)
    async with worker, serving(default_layer) as application, Open(application) as client:
        client.send("go")
        assert await client.text() == "at last"
    assert [line for line in logged(caplog) if "held the event loop" not in line] == []


async def test_an_event_that_waits_for_a_worker_is_no_lost_one(
    default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """A message that lies in its channel is waited for, until its time is over."""
    async with serving(default_layer) as application, Client(application) as client:
        await asyncio.sleep(inflight.SILENCE + inflight.SUSPICION + 0.5)
        async with working(default_layer, *SOCKET):
            await client.open()
            client.leave()
            await client.over()
    assert logged(caplog) == []


async def test_an_event_has_its_time(default_layer: SyncChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    """One that is not run within ``event_timeout`` is logged with channel and path, and the connection goes on."""
    async with serving(default_layer, event_timeout=0.1) as application, Client(application, "/alone/") as client:
        client.leave()
        await client.over()
    for event in ("connect", "disconnect"):
        expected = f"websocket.{event} of '/alone/' was not consumed within 0.1 s"
        assert any(expected in text for text in logged(caplog)), logged(caplog)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor looks often, and soon takes an event for lost."""
    for name in ("SILENCE", "SUSPICION", "CHECK_INTERVAL"):
        monkeypatch.setattr(inflight, name, 0.01)


@pytest.mark.usefixtures("quick")
async def test_channels_are_judged_apart(caplog: pytest.LogCaptureFixture) -> None:
    """An event that waits in its channel is not lost where that of another channel is."""
    async with relaying() as relay:
        [lost] = relay.send(0)
        [waiting] = relay.send(1, channel="websocket.disconnect")
        assert await relay.take(1) == [0]
        await asyncio.wait_for(lost, DEADLINE)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert caplog.text.count("lost with the worker") == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "error", [ChannelLayerUnavailable("no Redis"), LookupError("broken")], ids=["unavailable", "broken"]
)
async def test_a_look_that_fails(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monitor looks again, and finds what is lost; an error that is no lost layer is logged."""
    looks: list[str] = []

    async def fail(channel: str) -> Any:
        looks.append(channel)
        raise error

    async with relaying() as relay:
        with monkeypatch.context() as patched:
            patched.setattr(relay.layer, "length", fail)
            [event] = relay.send(0)
            assert await relay.take(1) == [0]
            await until(lambda: len(looks) > 1)
            assert not event.done()
        await asyncio.wait_for(event, DEADLINE)
    assert "lost with the worker" in caplog.text
    assert ("Looking for lost events failed" in caplog.text) is isinstance(error, LookupError)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("workers", "told"),
    [
        (0, "no worker is running with this layer. Start manage.py runworker"),
        (1, "1 worker is running: it is busy, or without these channels"),
        (2, "2 workers are running: they are busy, or without these channels"),
    ],
)
async def test_events_that_nobody_takes(
    workers: int, told: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once in a while, with what to do: start workers, or give those that are busy more threads."""
    monkeypatch.setattr(inflight, "WAITING_TIME", 0.1)
    async with relaying() as relay:
        for number in range(workers):
            await relay.layer.group_add(WORKERS, f"worker{number}")
        events = relay.send(0, 1, 2)
        await until(lambda: "No worker has taken" in caplog.text)
        await asyncio.sleep(0.2)
        await relay.take(3)
        relay.ack(0, 1, 2)
        await asyncio.wait_for(asyncio.gather(*events), DEADLINE)
        monkeypatch.setattr(inflight, "WAITING_TIME", 10.0)
    [line] = logged(caplog)
    assert "No worker has taken an event off websocket.receive for 0." in line
    assert "s, and it holds 3 events; " in line
    assert told in line


async def test_numbers_that_are_not_in_flight(caplog: pytest.LogCaptureFixture) -> None:
    """Acks and heartbeats of events that are over, or of another life of the server, tell nothing."""
    async with relaying() as relay:
        [event] = relay.send(0)
        assert await relay.take(1) == [0]
        tag = relay.taken[0]
        relay.layer.sync.send(tag.reply_to, heartbeat([tag.number, 4711]))
        relay.layer.sync.send(tag.reply_to, ack(4711))
        relay.ack(0)
        await asyncio.wait_for(event, DEADLINE)
        relay.layer.sync.send(tag.reply_to, ack(tag.number, "nobody"))
        relay.layer.sync.send(tag.reply_to, heartbeat([tag.number]))
        assert relay.consumers._in_flight == {}
        assert relay.consumers._destinations[RECEIVE].taken == tag.number
        [event] = relay.send(1)
        assert await relay.take(1) == [1]
        assert not event.done()
        relay.ack(1)
        await asyncio.wait_for(event, DEADLINE)
    assert logged(caplog) == []
