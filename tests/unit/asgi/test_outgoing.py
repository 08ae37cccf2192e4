"""What waits for one slow client: of several messages about one subject, the last."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.asgi.outgoing import Outgoing
from routechan.asgi.translation import LATEST
from routechan.asgi.waiting import Waiting
from routechan.asgi.writer import Writer
from routechan.telemetry.counters import counters
from tests.waiting import until

from .clients import Client, close, text
from .conftest import Serve
from .talking import speaking


def put(queue: Outgoing, *messages: str) -> None:
    """Put messages, each a subject and a number, such as ``a1``; one that begins with ``-`` has no subject."""
    for message in messages:
        if message.startswith("-"):
            queue.append({"text": message})
        else:
            replaced = queue.withdraw(message[0])
            queue.append_last(message[0], {"text": message}, replaces=replaced is not None)


def taken(queue: Outgoing, count: int | None = None) -> str:
    return " ".join(queue.popleft()["text"] for _ in range(len(queue) if count is None else count))


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ("a1 a2 a3", "a3"),
        ("a1 b1 a2", "b1 a2"),
        ("a1 -x a2 -y b1 b2", "-x a2 -y b2"),
        ("-x -x a1", "-x -x a1"),
    ],
)
def test_order(messages: str, left: str) -> None:
    """What is left comes in the order in which it was sent, whatever stands between."""
    queue = Outgoing()
    put(queue, *messages.split())
    assert len(queue) == len(left.split())
    assert taken(queue) == left
    assert not queue


def test_what_was_taken_is_not_replaced() -> None:
    """The next one of the same subject waits for itself."""
    queue = Outgoing()
    put(queue, "a1", "b1")
    assert taken(queue, 1) == "a1"
    put(queue, "a2", "b2", "a3")
    assert taken(queue) == "b2 a3"
    put(queue, "b3")
    assert taken(queue) == "b3"


def test_a_subject_that_changes_all_the_time() -> None:
    """It is not put off for ever: once the place of its first message has come, what replaced that stays."""
    queue = Outgoing()
    got: list[str] = []
    for number in range(200):  # more is sent than is taken
        for subject in "bcdefghijk":
            put(queue, f"{subject}{number}", f"a{number}")
        got += taken(queue, 5).split()
        assert len(queue) <= 2 * 11
    for subject in "abk":
        numbers = [int(each[1:]) for each in got if each[0] == subject]
        assert len(numbers) > 30
        assert numbers == sorted(numbers)


def test_places_do_not_pile_up() -> None:
    """A client that takes nothing costs no more, however often its subjects change."""
    queue = Outgoing()
    for number in range(1000):
        put(queue, f"a{number}", f"b{number}", f"c{number}")
    assert len(queue) == 3
    assert len(queue._items) < 40
    assert taken(queue) == "a999 b999 c999"


def plain(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events as any server reads them."""
    return [{key: value for key, value in event.items() if key != LATEST} for event in events]


async def test_a_replaced_message_needs_no_room() -> None:
    """Neither the number nor the bytes of what waits grow, of the client and of all."""
    reads, took = asyncio.Event(), []

    async def send(event: Any) -> None:
        await reads.wait()
        took.append(event["text"])

    waiting = Waiting()
    writer = Writer(send, 10_000, waiting)
    replaced = counters.frames_replaced
    for number in range(50):
        assert writer.write({"text": f"{number:4000}", LATEST: "a"}, capacity=1)
    assert counters.frames_replaced - replaced == 48  # the first is being sent, and the second waits
    assert writer.waiting_bytes == waiting.bytes < 5000
    assert not writer.write({"text": "b", LATEST: "b"}, capacity=1)
    assert writer.write({"text": f"{50:9000}", LATEST: "a"}, capacity=1)
    reads.set()
    await writer.flushed()
    assert [each.strip() for each in took] == ["0", "50"]
    assert waiting.bytes == 0


@pytest.mark.parametrize("to", ["group", "reply channel"])
async def test_a_slow_socket(serve: Serve, to: str) -> None:
    """It gets the last, in order with others, and a close behind all; one that reads gets each."""

    def join(message: Message) -> None:
        message.reply_channel.send({"accept": True})
        Group("prices").add(message.reply_channel)

    def tick(message: Message) -> None:
        target: Any = Group("prices") if to == "group" else message.reply_channel
        for number in range(100):
            target.send({"text": f"btc {number}"}, latest="btc")
            if number in (0, 50):
                target.send({"text": f"news {number}"})
        target.send({"text": "ä 0"}, latest="ä")
        target.send({"text": "ä 1"}, latest="ä")
        target.send({"close": 4000}, latest="ä")

    application = await serve([route("websocket.connect", join), route("websocket.receive", tick)], socket_capacity=9)
    async with Client(application) as quick, Client(application) as slow:
        for client in (quick, slow):
            await client.accepted()
        slow.reads.clear()
        slow.push({"type": "websocket.receive", "text": "go"})
        await until(lambda: slow.held_up)
        await until(lambda: slow.task.done() or counters.frames_replaced)
        if to == "group":
            expected = [f"btc {number}" for number in range(100)]
            expected[51:51], expected[1:1] = ["news 50"], ["news 0"]
            assert plain([await quick.event() for _ in range(105)]) == [
                *map(text, [*expected, "ä 0", "ä 1"]),
                close(4000),
            ]
        slow.reads.set()
        events = [await slow.event() for _ in range(6)]
    assert plain(events) == [*map(text, ["btc 0", "news 0", "news 50", "btc 99", "ä 1"]), close(4000)]


async def test_a_slow_socket_with_lines(serve: Serve) -> None:
    """A message behind the line of ``routechan.v1`` keeps its subject."""

    def join(message: Message) -> None:
        message.reply_channel.send({"accept": True})
        Group("prices").add(message.reply_channel)

    async with speaking(await serve([route("websocket.connect", join)])) as slow:
        await slow.accepted()
        slow.reads.clear()
        for number in range(10):
            Group("prices").send({"text": str(number)}, latest="btc")
        await until(lambda: slow.held_up)
        slow.reads.set()
        assert [await slow.text() for _ in range(2)] == ["\n0", "\n9"]
        slow.leave()
