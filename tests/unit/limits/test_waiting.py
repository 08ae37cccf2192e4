"""What waits for slow clients is bounded in bytes: for each, and for all of a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.asgi import ServerOptions
from routechan.asgi.waiting import Waiting
from routechan.telemetry.counters import counters

from ..asgi.clients import Client, Open, Request, close, logged, ticks
from ..asgi.conftest import Serve
from ..asgi.conftest import serve as serve
from ..asgi.consumers import accept, join

KIB = "x" * 1024


async def say(message: Message) -> None:
    """Sends as many messages of the size in KiB as it is told to the group ``all``."""
    count, size = map(int, message["text"].split())
    for number in range(count):
        Group("all").send({"text": f"{number:1024d}" + KIB * (size - 1)})


ROUTING = [
    route("websocket.connect", join, path="^/member/$"),
    route("websocket.connect", accept),
    route("websocket.receive", say),
]


async def deaf(application: Any) -> Client:
    """A member of the group that reads nothing any more."""
    client = Open(application, "/member/")
    await client.__aenter__()
    client.reads.clear()
    return client


async def test_a_group_with_a_deaf_member(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """It is closed with 1013 once its bytes are too many, counted and named in the log; the others get everything."""
    limited = counters.limited["socket_bytes"]
    application = await serve(ROUTING, socket_bytes=20_000)
    slow = await deaf(application)
    async with Open(application, "/member/") as quick, Open(application) as speaker:
        speaker.send("8 8")
        for _ in range(8):
            assert len(await quick.text()) == 8 * 1024
        quick.leave()
        speaker.leave()
    slow.reads.set()
    assert [(await slow.event())["type"], await slow.event()] == ["websocket.send", close(1013)]
    await slow.__aexit__(None, None, None)
    assert counters.limited["socket_bytes"] == limited + 1
    assert "and 3 messages to it dropped; it met SOCKET_BYTES, and 164" in logged(caplog)[0]


async def test_one_message_of_any_size_may_wait(serve: Serve) -> None:
    """A message above the bound is no reason to close, as long as nothing waits before it."""
    application = await serve(ROUTING, socket_bytes=1000)
    slow = await deaf(application)
    async with Open(application) as speaker:
        speaker.send("2 8")
        speaker.leave()
    slow.reads.set()
    assert [len((await slow.event())["text"]) for _ in range(2)] == [8 * 1024, 8 * 1024]
    slow.leave()
    await slow.__aexit__(None, None, None)


async def test_a_server_gives_up_those_for_whom_most_waits(serve: Serve) -> None:
    """A process' total closes the client that holds most, not the one whose message is the last straw."""
    limited = counters.limited["server_bytes"]
    application = await serve(ROUTING, server_bytes=100_000)
    worst = await deaf(application)
    async with Open(application) as speaker:
        speaker.send("9 10")
        await ticks()
        other = await deaf(application)
        speaker.send("4 5")
        speaker.leave()
    assert counters.limited["server_bytes"] == limited + 1
    worst.reads.set()
    other.reads.set()
    assert [(await worst.event())["type"], await worst.event()] == ["websocket.send", close(1013)]
    assert [(await other.event())["type"] for _ in range(4)] == ["websocket.send"] * 4
    for client in (worst, other):
        client.leave()
        await client.__aexit__(None, None, None)


async def test_what_waits_for_many_counts_once(serve: Serve) -> None:
    """A message to a group lies in memory once, however many clients it waits for; nothing is left at their ends."""
    application = await serve(ROUTING, server_bytes=50_000)
    members = [await deaf(application) for _ in range(20)]
    async with Open(application) as speaker:
        speaker.send("4 10")
        speaker.leave()
    waiting = application._server.waiting  # type: ignore[union-attr]
    assert 3 * 10 * 1024 < waiting.bytes < 50_000
    for client in members[:10]:
        client.reads.set()
        assert [len((await client.event())["text"]) for _ in range(4)] == [10 * 1024] * 4
    for client in members:  # the others leave without having read
        client.leave()
        client.reads.set()
        await client.__aexit__(None, None, None)
    assert waiting.bytes == 0
    assert waiting._clients == set()
    assert waiting._held == {}


async def test_a_response_that_nobody_reads(serve: Serve) -> None:
    """Its own consumer waits until the bytes before are taken, and loses none."""

    async def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": b"", "more_content": True})
        for number in range(20):
            message.reply_channel.send({"content": b"%d" % number * 1024, "more_content": number < 19})

    application = await serve([route("http.request", answer)], socket_bytes=4000)
    most = 0
    async with Request(application) as request:
        bodies: list[bytes] = []
        while len(bodies) < 21:
            event = await request.event()
            if event["type"] == "http.response.body":
                bodies.append(event["body"])
            most = max(most, application._server.waiting.bytes)  # type: ignore[union-attr]
    assert [len(body) for body in bodies[1:]] == [1024] * 10 + [2048] * 10
    assert most < 8000


def test_the_defaults_bound_both() -> None:
    """Without settings a deaf client costs some MiB, and all of them no more than some hundred."""
    options = ServerOptions()
    assert options.socket_bytes == 4 * 1024 * 1024
    assert options.server_bytes == 256 * 1024 * 1024


def test_a_total_without_a_bound() -> None:
    """None gives nobody up."""

    class Client:
        waiting_bytes = 0

        def overflow(self, limit: str) -> None:
            raise AssertionError(limit)

    waiting, client = Waiting(None), Client()
    event = {"text": KIB}
    waiting.add(client, event)
    waiting.add(client, event)
    assert client.waiting_bytes == 2 * waiting.bytes > 2048
    waiting.remove(client, event)
    waiting.remove(client, event)
    assert (client.waiting_bytes, waiting.bytes) == (0, 0)


async def test_a_server_cuts_off_a_response_for_which_most_waits(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """As it closes a socket, and the log says so."""
    limited = counters.limited["server_bytes"]

    async def answer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": b"x", "more_content": True})
        for number in range(4):
            message.reply_channel.send({"content": b"x" * 1000 * 2**number, "more_content": True})

    application = await serve([route("http.request", answer)], server_bytes=5_000)
    request = Request(application)
    taken = []

    async def send(event: Any) -> None:
        taken.append(event)
        await asyncio.Event().wait()

    request.task = asyncio.create_task(application(request.scope, request.to_application.get, send))
    await request.over()
    assert len(taken) == 1
    assert counters.limited["server_bytes"] == limited + 1
    [line] = [line for line in logged(caplog) if "is cut off" in line]
    assert "its client does not read, and" in line
    assert "(SERVER_BYTES)" in line
