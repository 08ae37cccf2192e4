"""Messages that do nothing for a socket, or that it cannot take: said once for each place, with the line that sent."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import types
from typing import Any

import pytest

from routechan import Channel, Group, route
from routechan.layers import SyncChannelLayer
from tests.harness import WebSocket

from .conftest import Serve

pytestmark = pytest.mark.usefixtures("without_channels")

EMPTY = "it is empty and asks the socket for nothing; send 'text', 'bytes', 'accept' or 'close'"
EVENT = (
    "it has 'type', 'message', as an event for a class-based consumer of Channels 4, and asks this socket for nothing"
)

#: What is sent -> what the log says of it, behind the line.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, EMPTY),
    "an event of Channels 4": ({"type": "chat.message", "message": "hi"}, EVENT),
    "a key of one's own": (
        {"message": "hi"},
        "a reply to a WebSocket has the keys 'accept', 'text', 'bytes' and 'close'",
    ),
    "text that is none": ({"text": {"a": 1}}, "'text' has to be a str, not dict; for objects send json.dumps(...)"),
    "bytes that are none": ({"bytes": "a"}, "'bytes' has to be bytes, not str; for a str use 'text'"),
    "a code that is none": ({"close": "4000"}, "'close' is True or a close code such as 4000, not '4000'"),
}


def accept(message: Any) -> None:
    Group("all").add(message.reply_channel)
    message.reply_channel.send({"accept": True})


def plain(message: Any) -> None:
    message.reply_channel.send(MISTAKES[message["text"]][0])  # sent


async def coroutine(message: Any) -> None:
    await message.reply_channel.asend(MISTAKES[message["text"]][0])  # sent


async def coroutine_without_await(message: Any) -> None:
    message.reply_channel.send(MISTAKES[message["text"]][0])  # sent


def stream(message: Any) -> Any:
    yield MISTAKES[message["text"]][0]  # sent


async def async_stream(message: Any) -> Any:
    yield MISTAKES[message["text"]][0]  # sent


def group(message: Any) -> None:
    Group("all").send(MISTAKES[message["text"]][0])  # sent


def by_name(message: Any) -> None:
    Channel(message.reply_channel.name).send(MISTAKES[message["text"]][0])  # sent


def delayed(message: Any) -> None:
    _send(message.reply_channel, MISTAKES[message["text"]][0])


def _send(channel: Any, content: Any) -> None:
    channel.send(content)  # sent


def immediately(message: Any) -> None:
    content = MISTAKES[message["text"]][0]
    message.reply_channel.send(content, immediately=True)  # sent


async def immediately_async(message: Any) -> None:
    content = MISTAKES[message["text"]][0]
    await message.reply_channel.asend(content, immediately=True)  # sent


WAITING = [plain, coroutine, coroutine_without_await, stream, async_stream, group, by_name, delayed]


def line_of(consumer: Any) -> str:
    """``FILE:LINE`` of the line with the comment."""
    code = _send if consumer is delayed else consumer
    lines, first = inspect.getsourcelines(code)
    [number] = [first + index for index, line in enumerate(lines) if line.endswith("# sent\n")]
    return f"{__file__}:{number}"


async def ask(serve: Serve, consumer: Any, *texts: str) -> None:
    """Have a socket's consumer send these, and see that the socket goes on."""

    def last(message: Any) -> None:
        message.reply_channel.send({"text": "still here"})

    def receive(message: Any) -> Any:
        return (last if message["text"] == "last" else consumer)(message)

    application = await serve(
        [
            route("websocket.connect", accept),
            route("websocket.receive", last, text="^last$"),
            route("websocket.receive", consumer),
        ]
    )
    async with WebSocket(application) as socket:
        await socket.accepted()
        for text in texts:
            socket.send(text)
            if consumer in (stream, async_stream):
                await asyncio.sleep(0.05)  # streams run beside the next event
        socket.send("last")
        assert await socket.text() == "still here"


def texts_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("consumer", WAITING, ids=lambda consumer: consumer.__name__)
async def test_where_it_was_sent(serve: Serve, caplog: pytest.LogCaptureFixture, consumer: Any, mistake: str) -> None:
    """6.9, PM-08: the log names the consumer, the line, and what to send; the socket stays open."""
    await ask(serve, consumer, mistake)
    [text] = texts_of(caplog)
    assert text.startswith(f"{__name__}.{consumer.__name__} on websocket.receive: a message to ")
    assert f"sent at {line_of(consumer)}" in text
    assert MISTAKES[mistake][1] in text


@pytest.mark.parametrize("consumer", [plain, group], ids=lambda consumer: consumer.__name__)
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_once_for_each_place(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, consumer: Any, mistake: str
) -> None:
    """6.9: repeated mistakes of a line are logged once in a while, with how many there were."""
    await ask(serve, consumer, *[mistake] * 5)
    assert len(texts_of(caplog)) == 1
    monkeypatch.setattr("routechan.telemetry.repeats.INTERVAL", 0.0)
    caplog.clear()
    await ask(serve, consumer, mistake)
    [text] = texts_of(caplog)
    assert text.endswith(" (4 more like this since it was last said)")


@pytest.mark.parametrize("mistake", ["empty", "an event of Channels 4"])
@pytest.mark.parametrize("consumer", [immediately, immediately_async], ids=lambda consumer: consumer.__name__)
async def test_at_once(serve: Serve, caplog: pytest.LogCaptureFixture, consumer: Any, mistake: str) -> None:
    """6.9: a useless message is no error of who sends it at once; it is logged with its line all the same."""
    await ask(serve, consumer, mistake)
    [text] = texts_of(caplog)
    assert f", sent at {line_of(consumer)}, does nothing: {MISTAKES[mistake][1]}" in text


async def test_while_connecting(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.9: an empty message leaves the handshake as it is."""

    def connect(message: Any) -> None:
        message.reply_channel.send({})
        message.reply_channel.send({"accept": True})

    application = await serve([route("websocket.connect", connect)])
    async with WebSocket(application) as socket:
        await socket.accepted()
    assert EMPTY in texts_of(caplog)[0]


async def test_from_outside(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """6.9: of code outside of consumers, a view's thread say, the line is known too."""

    def view() -> None:
        Group("all").send(json.loads('{"type": "chat.message", "message": "hi"}'))

    application = await serve([route("websocket.connect", accept)])
    async with WebSocket(application) as socket:
        await socket.accepted()
        await asyncio.to_thread(view)
        Group("all").send({"text": "hello"})
        assert await socket.text() == "hello"
    [text] = texts_of(caplog)
    assert text.startswith(f"all, sent at {__file__}:{view.__code__.co_firstlineno + 1}, does nothing: {EVENT}")


async def test_beside_channels(serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """R11: where class-based consumers of Channels are in use, an event for them is no mistake."""
    monkeypatch.setitem(sys.modules, "channels.layers", types.ModuleType("channels.layers"))
    await ask(serve, group, "an event of Channels 4")
    assert texts_of(caplog) == []


async def test_layers_refuse_it(serve: Serve, default_layer: SyncChannelLayer) -> None:
    """6.9: who talks to a layer itself gets the error."""
    application = await serve([route("websocket.connect", accept)])
    async with WebSocket(application) as socket:
        await socket.accepted()
        [name] = await default_layer.layer.group_channels("all")
        with pytest.raises(ValueError, match="it is empty"):
            default_layer.layer.post(name, {})
