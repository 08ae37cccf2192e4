"""Questions of clients to consumers, on a socket that speaks ``routechan.v1``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Channel, ConsumeLater, Message, route
from routechan.asgi import questions
from routechan.exceptions import InvalidContent, NoQuestion
from routechan.layers import SyncChannelLayer

from .talking import BOTH, KINDS, said, served, speaking


def answers(message: Message) -> None:
    """Answers a question, and echoes a message that asks nothing."""
    message.reply_channel.send({"text": "before"})
    if "question_number" not in message:
        message.reply_channel.send({"text": message["text"]})
    elif "text" in message:
        message.answer({"text": message["text"].upper()})
    else:
        message.answer({"bytes": message["bytes"]})
    message.reply_channel.send({"text": "behind"})


async def aanswers(message: Message) -> None:
    await asyncio.sleep(0)
    answers(message)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("consumer", [answers, aanswers])
async def test_a_client_asks(default_layer: SyncChannelLayer, kind: str, consumer: Any) -> None:
    """Its message is one like others, and the answer takes its place among the replies."""
    async with (
        served(default_layer, kind, route("websocket.receive", consumer)) as application,
        speaking(application) as client,
    ):
        await client.accepted()
        client.send("!ask 7\nwho\nis there?")
        assert [await said(client) for _ in range(3)] == [
            ("", "before"),
            ("!answer 7", "WHO\nIS THERE?"),
            ("", "behind"),
        ]
        client.send("\nhello")
        assert [await said(client) for _ in range(3)] == [("", "before"), ("", "hello"), ("", "behind")]
        client.push({"type": "websocket.receive", "bytes": b"!ask 7\n\x00"})
        assert (await said(client), await said(client)) == (("", "before"), ("!answer 7", b"\x00"))
        client.leave()


def silent(message: Message) -> None: ...


def raises(message: Message) -> None:
    raise LookupError("a secret")


async def araises(message: Message) -> None:
    raises(message)


def late(message: Message) -> None:
    raise ConsumeLater


def stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {"text": "thinking"}


ENDS: dict[str, tuple[Any, str]] = {
    "silent": (silent, "Its consumer has ended without an answer."),
    "plain": (raises, "Its consumer has failed."),
    "async": (araises, "Its consumer has failed."),
    "dropped": (late, "Its consumer has failed."),
    "stream": (stream, "Its consumer has ended without an answer."),
    "unrouted": (None, "No consumer takes this question."),
    "only a default": (None, "Its consumer has ended without an answer."),
}


@pytest.mark.parametrize(
    ("kind", "end"),
    [(kind, end) for kind in BOTH for end in ENDS if end != ("only a default" if kind == "workers" else "unrouted")],
)
async def test_no_answer(default_layer: SyncChannelLayer, kind: str, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told that there is none, and why, in plain words; the socket goes on."""
    monkeypatch.setattr("routechan.consumers.connection.LATER_DELAY_MAX", 0.01)
    consumer, reason = ENDS[end]
    routing = [route("websocket.receive", consumer or silent, text="^$|^why" if consumer else "^$")]
    async with served(default_layer, kind, *routing) as application, speaking(application) as client:
        await client.accepted()
        for number in (0, 999_999_999_999_999):
            client.send(f"!ask {number}\nwhy?")
            if end == "stream":
                assert await said(client) == ("", "thinking")
            assert await said(client) == (f"!failed {number}", reason)
        client.leave()


def test_a_key_of_the_same_name(default_layer: SyncChannelLayer) -> None:
    """Content of one's own that has it by chance asks nothing."""
    message = Message({"reply_channel": "x", "question_number": [1]}, "own", default_layer)
    with pytest.raises(NoQuestion):
        message.answer({"text": "a"})


@pytest.mark.parametrize("kind", BOTH)
async def test_other_ends(default_layer: SyncChannelLayer, kind: str) -> None:
    """At once; after ``ConsumeLater``; by the consumer that it was handed on to; in a stream; refused and answered."""
    tries: list[Any] = []

    async def receive(message: Message) -> None:
        text = message["text"]
        if text == "at once":
            await message.aanswer({"text": "yes"}, immediately=True)
            raise LookupError
        if text == "later":
            tries.append(message)
            if len(tries) < 3:
                raise ConsumeLater
            message.answer({"text": "third"})
        if text == "hand on":
            Channel("own").send(
                {"reply_channel": message.reply_channel.name, "question_number": message["question_number"]}
            )
        if text == "twice":
            message.answer({"text": ""})
            with pytest.raises(NoQuestion, match="has been answered"):
                message.answer({"text": "no"})

    def own(message: Message) -> None:
        message.answer({"text": "handed on"})

    async def streams(message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {"text": "wait"}
        message.answer({"text": "streamed"})
        yield {"text": "goes on"}

    routing = [
        route("websocket.receive", streams, text="^stream"),
        route("websocket.receive", receive),
        route("own", own),
    ]
    async with served(default_layer, kind, *routing) as application, speaking(application) as client:
        await client.accepted()
        for number, (text, answer) in enumerate(
            {"at once": "yes", "later": "third", "hand on": "handed on", "twice": ""}.items()
        ):
            client.send(f"!ask {number}\n{text}")
            assert await said(client) == (f"!answer {number}", answer)
        client.send("!ask 9\nstream")
        assert [await said(client) for _ in range(3)] == [("", "wait"), ("!answer 9", "streamed"), ("", "goes on")]
        client.send("!ask 10\nhand on")
        assert await said(client) == ("!answer 10", "handed on")
        client.leave()


async def test_a_number_that_is_open(default_layer: SyncChannelLayer) -> None:
    """The client closes itself with 1002, as with any line that it may not send."""
    go = asyncio.Event()

    async def endless(message: Message) -> AsyncIterator[dict[str, Any]]:
        await go.wait()
        yield {"text": "never"}

    async with (
        served(default_layer, "inline", route("websocket.receive", endless)) as application,
        speaking(application) as client,
    ):
        await client.accepted()
        client.send("!ask 7\n")
        client.send("!ask 7\n")
        assert await client.event() == {"type": "websocket.close", "code": 1002}
        client.leave()


async def test_too_many_questions_of_a_client(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may be open gets no answer, at once."""
    monkeypatch.setattr(questions, "MOST", 2)
    open_: list[Message] = []

    async def keep(message: Message) -> AsyncIterator[dict[str, Any]]:
        open_.append(message)
        await asyncio.Event().wait()
        yield {}

    async with (
        served(default_layer, "inline", route("websocket.receive", keep)) as application,
        speaking(application) as client,
    ):
        await client.accepted()
        for number in range(3):
            client.send(f"!ask {number}\n")
        assert await said(client) == ("!failed 2", "2 questions of this socket are open.")
        Channel(open_[0]["reply_channel"]).send({"__answer__": 0, "text": "one"})
        assert await said(client) == ("!answer 0", "one")
        client.leave()


def test_a_message_that_asks_nothing(default_layer: SyncChannelLayer) -> None:
    """The text says what to write; an answer is text or bytes."""
    with pytest.raises(
        NoQuestion, match=r"'websocket.receive' asks for no answer: it has no 'question_number'. Send a reply"
    ):
        Message({"reply_channel": "x"}, "websocket.receive", None).answer({"text": "a"})
    for content in ({}, {"text": "a", "close": True}, {"text": b"a"}, {"bytes": "a"}, {"json": 1}, "a"):
        with pytest.raises(InvalidContent):
            Message({"reply_channel": "x", "question_number": 1}, "c", None).answer(content)  # type: ignore[arg-type]
