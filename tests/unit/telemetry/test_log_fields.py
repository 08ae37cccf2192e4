"""One record per failure, with fields that machines find it by."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routechan
from routechan import Channel, Message, route
from routechan.layers import InMemoryChannelLayer
from routechan.telemetry.log_fields import log_fields, message_log_fields
from tests.waiting import until

from ..asgi.clients import Client, Open
from ..asgi.consumers import accept
from ..monitor.helpers import fail, inline, relaying, working

LOGGING = ("logger.warning", "logger.error", "logger.exception", "logger.critical")

FIELDS = ("connection", "channel", "consumer", "message_id")

#: Texts that speak of messages, and what is none of theirs though it sounds like it: how it begins.
OF_MESSAGES = re.compile(r"message|event|consumer|send|WebSocket|client")
OF_NONE = (
    "%s did not end within %g s and",  # each of them, and each message behind them, has a record of its own
    "A task ended the event loop",
    "An async consumer was broken off",
    "Looking for lost events failed",
    "The event loop is closed",
    "Server processes run consumers",
    "Servers that run consumers",
    "A worker is gone, and with it",
    "The server stops while its layer is away",
    "Another process",
    "Others took this process for dead",
)


def fields(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    """Of each record: where it came from, and its fields."""
    found = [record for record in caplog.records if record.name == "routechan" and record.levelno >= logging.WARNING]
    return [tuple(getattr(record, field) for field in FIELDS) for record in found]


def test_fields() -> None:
    """The fields are taken from the message; unknown ones are None."""
    content = {"reply_channel": "websocket.send.a.b!c", "order": 3}
    assert log_fields("websocket.receive", content, consumer=fail) == {
        "connection": "websocket.send.a.b!c",
        "channel": "websocket.receive",
        "consumer": "tests.unit.monitor.helpers.fail",
        "message_id": "websocket.send.a.b!c#3",
    }
    assert log_fields("http.request", {"reply_channel": "http.response.a.b!c"})["message_id"] == "http.response.a.b!c"
    for strange in (None, "text", {}, {"reply_channel": 7}):
        assert log_fields(None, strange) == dict.fromkeys(FIELDS)


def test_a_message_of_no_connection_is_numbered() -> None:
    """All records about it have the same id, which names the process."""
    layer = InMemoryChannelLayer()
    first, second = Message({}, "test", layer.sync), Message({}, "test", layer.sync)
    assert message_log_fields(first)["message_id"] == message_log_fields(first, fail)["message_id"]
    assert message_log_fields(first)["message_id"] != message_log_fields(second)["message_id"]
    assert message_log_fields(first)["message_id"].startswith(f"{layer.process}#")


async def test_a_consumer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Its connection, channel, name and message; once."""
    names: list[str] = []

    def connect(message: Message) -> None:
        names.append(message["reply_channel"])
        message.reply_channel.send({"accept": True})

    routing = [route("websocket.connect", connect), route("websocket.receive", fail)]
    async with inline(InMemoryChannelLayer(), *routing) as application, Open(application) as client:
        client.send("hello")
        await until(lambda: caplog.records)
    [name] = names
    assert fields(caplog) == [(name, "websocket.receive", "tests.unit.monitor.helpers.fail", f"{name}#1")]


async def test_the_same_in_a_worker(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is that of the server, which has its process' name in it."""
    monkeypatch.setattr("routechan.consumers.failures.INTERVAL", 0.0)
    layer = InMemoryChannelLayer()
    routing = [route("websocket.connect", accept), route("websocket.receive", fail)]
    async with working(layer, *routing), relaying(layer) as application, Open(application) as client:
        client.send("hello")
        client.send("hello")
        await until(lambda: len(caplog.records) == 2)
    (name, channel, _, first), (_, _, _, second) = fields(caplog)
    assert (channel, first, second) == ("websocket.receive", f"{name}#1", f"{name}#2")
    assert f".{layer.process}!" in name


async def test_a_message_that_no_route_takes(caplog: pytest.LogCaptureFixture) -> None:
    """It is lost, and its channel is named."""
    layer = InMemoryChannelLayer()
    async with inline(layer, route("test", fail, kind="other")):
        await layer.send("test", {"kind": "some"})
        await until(lambda: caplog.records)
    [(connection, channel, consumer, message_id)] = fields(caplog)
    assert (connection, channel, consumer) == (None, "test", None)
    assert message_id.startswith(f"{layer.process}#")


async def test_a_send_that_cannot_be_delivered(caplog: pytest.LogCaptureFixture) -> None:
    """The channel is the one that refused it, the rest is that of the consumer's message."""
    layer = InMemoryChannelLayer()

    def consumer(message: Message) -> None:
        Channel("bad name", channel_layer=layer).send({})

    async with inline(layer, route("test", consumer)):
        await layer.send("test", {"reply_channel": "some", "order": 1})
        await until(lambda: caplog.records)
    assert fields(caplog) == [("some", "bad name", "tests.unit.telemetry.test_log_fields.consumer", "some#1")]


async def test_a_send_that_nobody_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    """Outside of consumers, on an event loop."""

    class Failing(InMemoryChannelLayer):
        def post(self, channel: str, content: Any, delay: float = 0.0) -> Any:
            return self._fail()

        async def _fail(self) -> None:
            raise self.ChannelFull("test")

    Channel("test", channel_layer=Failing()).send({})
    await until(lambda: caplog.records)
    assert fields(caplog) == [(None, "test", None, None)]


async def test_an_event_that_no_worker_takes(caplog: pytest.LogCaptureFixture) -> None:
    """The server's record has the same fields as a worker's would have."""
    async with relaying(InMemoryChannelLayer(), event_timeout=0.1) as application, Client(application) as client:
        await until(lambda: caplog.records)
        client.leave()
        await client.over()
    (name, channel, consumer, message_id), _ = fields(caplog)
    assert (channel, consumer, message_id) == ("websocket.connect", None, f"{name}#0")


async def test_a_client_that_does_not_read(caplog: pytest.LogCaptureFixture) -> None:
    """One record for all dropped messages names the connection."""

    def burst(message: Message) -> None:
        for _ in range(50):
            message.reply_channel.send({"text": "x"})

    routing = [route("websocket.receive", burst)]
    application = inline(InMemoryChannelLayer(), *routing, socket_capacity=5)
    async with application as server, Open(server) as client:
        client.reads.clear()
        client.send("go")
        await until(lambda: caplog.records)
        client.reads.set()
    [(connection, channel, consumer, message_id)] = fields(caplog)
    assert connection == channel
    assert connection.startswith("websocket.send.")
    assert (consumer, message_id) == (None, None)


def test_every_record_of_a_failure_has_the_fields() -> None:
    """Every warning or error of the core about a message (layers excepted) has ``extra``."""
    root = Path(routechan.__file__).parent
    records = [record for path in root.rglob("*.py") if "layers" not in path.parts for record in _records(path)]
    assert len(records) > 20
    without = [
        text for text, given in records if OF_MESSAGES.search(text) and not given and not text.startswith(OF_NONE)
    ]
    assert without == []


def _records(path: Path) -> Iterator[tuple[str, bool]]:
    """The texts of what a file logs as warning or worse, and whether it has ``extra``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOGGING:
            text = node.args[0]
            given = any(keyword.arg == "extra" for keyword in node.keywords)
            yield str(text.value) if isinstance(text, ast.Constant) else ast.unparse(text), given
