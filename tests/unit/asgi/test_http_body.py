"""The body of a response: it goes on as long as its client reads and its consumer does not fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Group, Message, route
from tests.waiting import until

from ...harness import get
from ..helpers import KINDS, of_kind
from .clients import Request, logged
from .conftest import Serve
from .test_http import part, start


@pytest.mark.parametrize("kind", ["async stream", "stream", "group"])
async def test_a_response_goes_on_as_long_as_its_client_reads(
    serve: Serve, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The HTTP timeout is for the answer to begin: not for its body, nor for a pause between two parts."""
    ended = []

    def body(message: Message) -> Iterator[dict[str, Any]]:
        try:
            yield {"status": 200, "content": b"a", "more_content": True}
            for _ in range(20):
                time.sleep(0.01)
                yield {"content": b"b", "more_content": True}
            time.sleep(0.2)
            while True:
                yield {"content": b"c", "more_content": True}
                time.sleep(0.01)
        finally:
            ended.append(True)

    def join(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": b"a", "more_content": True})
        Group("stream").add(message.reply_channel)

    consumer = join if kind == "group" else of_kind(kind, body)
    async with Request(await serve([route("http.request", consumer)], http_timeout=0.1)) as request:
        assert [await request.event(), await request.event()] == [start([]), part(b"a", more=True)]
        for content in (b"b", b"c"):
            if kind == "group":
                await asyncio.sleep(0.2)
                await Group("stream").asend({"content": content, "more_content": True})
            while (event := await request.event()) != part(content, more=True):
                assert event == part(b"b", more=True)
        request.leave()
        await request.over()
    await until(lambda: ended or kind == "group")
    assert [line for line in logged(caplog) if "held the event loop" not in line] == []


async def test_a_client_that_takes_nothing_any_more(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """The HTTP timeout is for the client too: to take what was sent. Its stream ends."""
    ended = []

    async def endless(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"status": 200, "more_content": True}
            while True:
                yield {"content": b"a", "more_content": True}
        finally:
            ended.append(True)

    request = Request(await serve([route("http.request", endless)], http_timeout=0.05))
    request.from_application = asyncio.Queue(maxsize=3)
    async with request:
        await request.over()
    await until(lambda: ended)
    assert logged(caplog) == ["'/' is given up: its client has taken nothing for 0.05 s"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("begun", [False, True])
async def test_a_consumer_that_raises_is_not_waited_for(serve: Serve, kind: str, begun: bool) -> None:
    """At once a 503; a response that has begun is cut off where it is."""

    def fail(message: Message) -> Iterator[dict[str, Any]]:
        if begun:
            yield {"status": 200, "content": b"a", "more_content": True}
        raise LookupError("on purpose")

    async with Request(await serve([route("http.request", of_kind(kind, fail))])) as request:
        await request.over()
        events = request.events()
    if begun:
        assert events == [start([]), part(b"a", more=True)]
    else:
        assert (events[0]["status"], events[1]["body"]) == (503, b"The server failed to answer this request.")


async def test_a_failure_is_explained_to_who_may_know(serve: Serve) -> None:
    """With ``debug``, as Django's has it, the body says what the consumer raised."""

    async def fail(message: Message) -> None:
        raise LookupError("on purpose")

    status, body = await get(await serve([route("http.request", fail)], debug=True), "/")
    assert status == 503
    assert body.endswith(b"fail raised LookupError('on purpose')")


@pytest.mark.parametrize("size", [10, 11, 95])
async def test_a_large_body_is_sent_in_parts(serve: Serve, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Each part that a slow client takes shows that it reads on: only one that takes nothing is given up."""
    monkeypatch.setattr("routechan.asgi.http.PART_SIZE", 10)
    body = bytes(range(size))

    def consumer(message: Message) -> None:
        message.reply_channel.send({"status": 200, "content": body[:1], "more_content": True})
        message.reply_channel.send({"content": body[1:]})

    async with Request(await serve([route("http.request", consumer)])) as request:
        assert (await request.event())["status"] == 200
        parts = [await request.event()]
        while parts[-1]["more_body"]:
            parts.append(await request.event())
        await request.over()
    assert b"".join(event["body"] for event in parts) == body
    assert max(len(event["body"]) for event in parts) <= 10
    assert all(event["type"] == "http.response.body" for event in parts)
