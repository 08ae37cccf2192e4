"""Questions of consumers to clients, on a socket that speaks ``routechan.v1``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, Message, route
from routechan.asgi import questions
from routechan.exceptions import (
    AnswerRefused,
    AnswerTimeout,
    CannotAsk,
    InvalidContent,
    NotAnswered,
    SocketLost,
    TooManyQuestions,
    WouldBlock,
)
from routechan.layers import SyncChannelLayer
from routechan.sending import asking
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..helpers import ForeignLayer
from .clients import Client
from .pages import Page
from .talking import BOTH, KINDS, said, served, speaking


def asking_consumers(found: list[Any]) -> list[Any]:
    """Routes to a plain and to an async consumer, which ask in the way that the text says and keep what came of it."""

    def plain(message: Message) -> None:
        _, text = message["text"].split()
        try:
            found.append(message.reply_channel.ask(question(text), timeout=seconds(text)))
        except NotAnswered as error:
            found.append(error)
        message.reply_channel.send({"text": "end"})

    async def asynchronous(message: Message) -> None:
        _, text = message["text"].split()
        try:
            found.append(await message.reply_channel.aask(question(text), timeout=seconds(text)))
        except NotAnswered as error:
            found.append(error)
        message.reply_channel.send({"text": "end"})

    def question(text: str) -> dict[str, Any]:
        return {"bytes": b"\x00"} if text == "bytes" else {"text": text}

    def seconds(text: str) -> float:
        return 0.05 if text == "timeout" else 20

    def echo(message: Message) -> None:
        message.reply_channel.send({"text": message["text"]})

    return [
        route("websocket.receive", plain, text="^plain"),
        route("websocket.receive", asynchronous, text="^async"),
        route("websocket.receive", echo),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("consumer", ["plain", "async"])
async def test_a_consumer_asks(default_layer: SyncChannelLayer, kind: str, consumer: str) -> None:
    """It gets the answer while it runs, though messages of the client stand before that and wait in their order."""
    found: list[Any] = []
    async with served(default_layer, kind, *asking_consumers(found)) as application, speaking(application) as client:
        await client.accepted()
        for number in (1, 2):
            client.send(f"\n{consumer} sure?")
            assert await said(client) == (f"!ask {number}", "sure?")
            for text in "ab":
                client.send(f"\n{text}")
            client.send(f"!answer {number}\nyes\n{number}")
            client.send("\nc")
            assert [await said(client) for _ in range(4)] == [("", text) for text in ("end", "a", "b", "c")]
        client.send(f"\n{consumer} bytes")
        assert await said(client) == ("!ask 3", b"\x00")
        client.push({"type": "websocket.receive", "bytes": b"!answer 3\n\xff"})
        assert await said(client) == ("", "end")
        client.leave()
    assert found == [{"text": "yes\n1"}, {"text": "yes\n2"}, {"bytes": b"\xff"}]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("consumer", ["plain", "async"])
async def test_no_answer_of_a_client(default_layer: SyncChannelLayer, kind: str, consumer: str) -> None:
    """Each reason has its exception; an answer that comes too late is counted, and nothing else."""
    found: list[Any] = []
    late = counters.answers_late
    async with served(default_layer, kind, *asking_consumers(found)) as application, speaking(application) as client:
        await client.accepted()
        client.send(f"\n{consumer} refused")
        assert (await said(client))[0] == "!ask 1"
        client.send("!failed 1\nnot me")
        assert await said(client) == ("", "end")
        client.send(f"\n{consumer} timeout")
        assert [await said(client) for _ in range(2)] == [("!ask 2", "timeout"), ("", "end")]
        client.send("!answer 2\ntoo late")
        client.send("!answer 99\nwhat?")
        client.send("\nafter")
        assert await said(client) == ("", "after")
        await until(lambda: counters.answers_late - late == 2)
        client.send(f"\n{consumer} lost")
        assert (await said(client))[0] == "!ask 3"
        client.leave()
        await until(lambda: len(found) == 3)
        async with Client(application, "/chat/") as other:
            await other.accepted()
            other.send(f"{consumer} lines")
            assert await other.text() == "end"
            other.leave()
    assert [type(error) for error in found] == [AnswerRefused, AnswerTimeout, SocketLost, CannotAsk]
    assert [error.why for error in found] == [
        "not me",
        "none has come within 0.05 s",
        "its socket is closed",
        "it does not speak routechan.v1, so it takes no questions",
    ]
    assert str(found[0]).startswith("the client of 'websocket.send.")


async def test_from_elsewhere(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of a reply channel: while the socket is quiet, while its consumer is busy, and when it is gone."""
    names: list[str] = []
    go = asyncio.Event()

    async def busy(message: Message) -> None:
        names.append(message["reply_channel"])
        await go.wait()

    async with (
        served(default_layer, "inline", route("websocket.receive", busy)) as application,
        speaking(application) as client,
    ):
        await client.accepted()
        go.set()
        client.send("\n")
        await until(lambda: names)
        channel = Channel(names[0])
        asked = asyncio.create_task(channel.aask({"text": "quiet"}))
        assert await said(client) == ("!ask 1", "quiet")
        go.clear()
        client.send("\nbusy")
        await until(lambda: len(names) == 2)
        client.send("!answer 1\nyes")
        assert await asked == {"text": "yes"}
        on_thread = asyncio.create_task(asyncio.to_thread(channel.ask, {"text": "busy"}))
        assert await said(client) == ("!ask 2", "busy")
        client.send("!answer 2\nas well")
        assert await on_thread == {"text": "as well"}
        monkeypatch.setattr(questions, "MOST", 0)
        with pytest.raises(TooManyQuestions):
            await channel.aask({"text": "too many"})
        with pytest.raises(WouldBlock, match="aask"):
            channel.ask({"text": "?"})
        go.set()
        client.leave()
        await client.over()
        with pytest.raises(SocketLost):
            await channel.aask({"text": "gone"})
        asker = default_layer.layer.__dict__["_asker"]
        assert not asker._open
    assert "_asker" not in default_layer.layer.__dict__


async def test_questions_nobody_waits_for_leave_room(
    default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that never answers may be asked again and again."""
    monkeypatch.setattr(questions, "MOST", 2)
    found: list[Any] = []
    async with (
        served(default_layer, "inline", *asking_consumers(found)) as application,
        speaking(application) as client,
    ):
        await client.accepted()
        for number in range(1, 6):
            client.send("\nasync timeout")
            assert [await said(client) for _ in range(2)] == [(f"!ask {number}", "timeout"), ("", "end")]
        client.leave()
    assert {type(error) for error in found} == {AnswerTimeout}


async def test_a_question_before_the_socket_is_accepted(default_layer: SyncChannelLayer) -> None:
    """It accepts the socket, as text does."""

    async def connect(message: Message) -> None:
        answer = await message.reply_channel.aask({"text": "who?"})
        message.reply_channel.send({"text": "hello " + answer["text"]})

    routing = [route("websocket.connect", connect)]
    async with served(default_layer, "inline", *routing) as application, speaking(application) as client:
        await client.accepted()
        assert await said(client) == ("!ask 1", "who?")
        client.send("!answer 1\nAnn")
        assert await said(client) == ("", "hello Ann")
        client.leave()


async def test_an_event_stream_cannot_be_asked(default_layer: SyncChannelLayer) -> None:
    """The consumer is told so at once."""
    found: list[Any] = []
    async with served(default_layer, "inline", *asking_consumers(found)) as application, Page(application) as page:
        await page.open()
        await page.say("async sure?")
        assert await page.heard() == ("message", "end")
    assert [type(error) for error in found] == [CannotAsk]


async def test_what_cannot_be_asked(default_layer: SyncChannelLayer) -> None:
    """Channels that are none of sockets, questions that are none, and times."""
    socket = Channel("websocket.send.abcdef.nobody!x")
    with pytest.raises(ValueError, match="'thumbnail' is no reply channel of a socket"):
        await Channel("thumbnail").aask({"text": "?"})
    for timeout in (0, -1, "5", True, float("inf")):
        with pytest.raises(ValueError, match="timeout is a number of seconds above 0"):
            await socket.aask({"text": "?"}, timeout)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ForeignLayer is no routechan layer and brings no answers back"):
        await Channel(socket.name, channel_layer=ForeignLayer()).aask({"text": "?"})
    with pytest.raises(InvalidContent, match="a question is a dict with 'text', a str, or 'bytes'"):
        await socket.aask({"text": "?", "close": True})
    with pytest.raises(AnswerTimeout):
        await asyncio.to_thread(socket.ask, {"text": "?"}, 0.01)
    await asking.leave(default_layer.layer)
