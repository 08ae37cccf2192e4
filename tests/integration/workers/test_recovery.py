"""Clients that come back to servers that run no consumers: workers are told what they have."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.waiting import stretched

from .fleet import Fleet

V1 = Subprotocol("routechan.v1")

HISTORY = {"kept-*": {"size": 5, "seconds": 60}}


@pytest.fixture(scope="module")
def fleet(redis_url: str) -> Iterator[Fleet]:
    environment = {"LAYER_OPTIONS": json.dumps({"history": HISTORY})}
    with Fleet(redis_url, servers=2, workers=2, environment=environment) as started:
        yield started


@pytest.fixture
def urls(fleet: Fleet) -> list[str]:
    """The same room on both servers, one of each test."""
    return fleet.urls(f"/kept/{secrets.token_hex(4)}/")


def coming_back(url: str, id: str) -> connect:
    return connect(url, subprotocols=[V1, Subprotocol(f"routechan.v1.since.{id}")])


async def heard(socket: ClientConnection, *ends: str) -> list[tuple[str, str]]:
    """The lines and bodies of frames, until each of ``ends`` has begun a line or a body."""
    frames: list[tuple[str, str]] = []
    while not all(any(part.startswith(end) for frame in frames for part in frame) for end in ends):
        line, _, body = str(await asyncio.wait_for(socket.recv(), stretched(15))).partition("\n")
        frames.append((line, body))
    return frames


def messages(frames: list[tuple[str, str]], group: str) -> list[str]:
    """The messages of ``group`` among ``frames``; each has an id."""
    found = [(line, body) for line, body in frames if body.startswith(f"{group}: ")]
    assert all(line and not line.startswith("!") for line, _ in found)
    return [body for _, body in found]


def words(frames: list[tuple[str, str]]) -> list[str]:
    return [line.partition(" ")[0] for line, _ in frames if line.startswith("!")]


async def test_coming_back_to_another_server(urls: list[str]) -> None:
    """The worker's add returns what became of it; what was missed comes in order, and one line behind it."""
    async with connect(urls[0], subprotocols=[V1]) as socket, connect(urls[0]) as other:
        frames = await heard(socket, "!joined", "[")
        assert ("", "[null, null]") in frames
        await heard(other, "[")
        await other.send("one")
        id = (await heard(socket, "a: one", "b: one"))[-1][0]
        await socket.close()
        await other.send("two")
        await other.send("three")
        await heard(other, "a: three", "b: three")
        async with coming_back(urls[1], id) as back:
            frames = await heard(back, "!recovered", "[")
            assert ("", "[true, true]") in frames
            assert messages(frames, "a") == ["a: two", "a: three"]
            assert messages(frames, "b") == ["b: two", "b: three"]
            assert words(frames) == ["!recovered"]
            assert frames.index(next(each for each in frames if each[0].startswith("!"))) >= 5  # behind all that
            id = next(line.partition(" ")[2] for line, _ in frames if line.startswith("!"))
        for number in range(6):
            await other.send(str(number + 10))
        await heard(other, "a: 15", "b: 15")
        async with coming_back(urls[0], id) as back:
            frames = await heard(back, "[")
            while len(words(frames)) < 2:
                frames += await heard(back, "!gap")
            assert ("", "[false, false]") in frames
            await other.send("newer")
            frames += await heard(back, "a: newer", "b: newer")
            assert words(frames) == ["!gap", "!gap"]
            assert messages(frames, "a") == ["a: newer"]


async def test_a_later_event_uses_what_is_left_and_uses_it_once(urls: list[str]) -> None:
    """Each claim lasts until a consumer adds the socket to its group, and no longer."""
    async with connect(urls[0], subprotocols=[V1]) as socket, connect(urls[0]) as other:
        await heard(other, "[")
        await heard(socket, "!joined", "[")
        await socket.send("\nc")
        frames = await heard(socket, "!joined", "null")
        id = next(line.partition(" ")[2] for line, _ in frames if line.startswith("!"))
        await socket.close()
        await other.send("missed")
        await heard(other, "a: missed", "b: missed")
        async with coming_back(urls[1], id) as back:
            first = await heard(back, "!recovered", "[")
            await back.send("\nc")
            second = await heard(back, "!recovered", "true")
            assert messages(first, "c") == []
            assert messages(second, "c") == ["c: missed"]
            await back.send("\nc")
            assert await heard(back, "null") == [("", "null")]  # it is a member, and nothing is to be said
            # What it has not joined yet is in its ids all the same.
            id = next(line.partition(" ")[2] for line, _ in first if line.startswith("!"))
        async with coming_back(urls[0], id) as back:
            await heard(back, "!recovered", "[")
            await back.send("\nc")
            assert messages(await heard(back, "!recovered", "true"), "c") == ["c: missed"]
        async with coming_back(urls[0], id) as back:
            await heard(back, "!recovered", "[")
            await back.send("\nname")  # nobody looks at what the client has
            assert sorted(line.partition(" ")[0] for line, _ in await heard(back, "!gap", "done")) == ["", "!gap"]
