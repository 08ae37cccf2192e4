"""OpenTelemetry: spans around consumers and sends, and one trace through processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from routechan import Channel, ConsumeLater, Group, Message, route
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer, SyncChannelLayer
from routechan.sending.target import _Send
from routechan.telemetry import tracing
from routechan.testing import Client as ConsumerClient
from tests.waiting import until

from ...redis_servers import SingleServer, shared
from ..asgi.clients import Open
from ..asgi.consumers import accept, echo
from ..monitor.helpers import fail, inline, relaying, working

#: One for all tests: a tracer keeps the provider that it first found.
EXPORTER = InMemorySpanExporter()
PROVIDER = TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """As in a process that has set a provider."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", PROVIDER)
    EXPORTER.clear()
    yield EXPORTER
    EXPORTER.clear()


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def path(spans: InMemorySpanExporter, name: str) -> list[str]:
    """The names of a span and of those above it."""
    found = {span.context.span_id: span for span in spans.get_finished_spans() if span.context}
    span: ReadableSpan | None = by_name(spans)[name]
    names = []
    while span is not None:
        names.append(span.name)
        span = found.get(span.parent.span_id) if span.parent else None
    return names


async def test_one_trace_through_processes(spans: InMemorySpanExporter, pytestconfig: pytest.Config) -> None:
    """A send in a shell, a worker's consumer, its group send, and the socket that gets that, which sees none of it."""
    redis = shared(pytestconfig, SingleServer)
    shell, workers, servers = (RedisChannelLayer(hosts=redis.hosts, prefix="tracing") for _ in range(3))
    seen: list[dict[str, Any]] = []

    def connect(message: Message) -> None:
        message.reply_channel.send({"accept": True})
        Group("everyone", channel_layer=workers).add(message.reply_channel)

    def work(message: Message) -> None:
        seen.append(dict(message.content))
        Group("everyone", channel_layer=message.channel_layer).send({"text": message["text"]})

    try:
        async with (
            working(workers, route("websocket.connect", connect), route("work", work)),
            relaying(servers) as application,
            Open(application) as client,
        ):
            with trace.get_tracer("tests").start_as_current_span("shell"):
                await Channel("work", channel_layer=shell).asend({"text": "hello"})
            assert await client.event() == {"type": "websocket.send", "text": "hello"}
            await until(lambda: "send group" in by_name(spans))
    finally:
        for layer in (shell, workers, servers):
            layer.close()
    assert seen == [{"text": "hello"}]
    assert path(spans, "send group") == ["send group", "process work", "send work", "shell"]
    process = by_name(spans)["process work"]
    assert process.kind is trace.SpanKind.CONSUMER
    assert process.attributes is not None
    assert process.attributes["messaging.system"] == "routechan"
    assert process.attributes["messaging.destination.name"] == "work"
    assert process.attributes["messaging.operation.type"] == "process"
    assert process.attributes["code.function.name"] == "tests.unit.telemetry.test_tracing.work"
    send = by_name(spans)["send work"]
    assert send.kind is trace.SpanKind.PRODUCER
    assert send.attributes is not None
    assert send.attributes["messaging.operation.type"] == "send"


async def test_events_of_a_server_that_relays(spans: InMemorySpanExporter) -> None:
    """The worker's span is below the server's, with the id that log records have."""
    layer = InMemoryChannelLayer()
    seen: list[dict[str, Any]] = []

    def receive(message: Message) -> None:
        seen.append(dict(message.content))
        message.reply_channel.send({"text": "answer"})

    routing = [route("websocket.connect", accept), route("websocket.receive", receive)]
    async with working(layer, *routing), relaying(layer) as application, Open(application) as client:
        client.send("hello")
        assert await client.event() == {"type": "websocket.send", "text": "answer"}
        await until(lambda: "process websocket.receive" in by_name(spans))
    assert set(seen[0]) == {"reply_channel", "path", "order", "text"}
    assert path(spans, "process websocket.receive") == ["process websocket.receive", "send websocket.receive"]
    attributes = by_name(spans)["process websocket.receive"].attributes
    assert attributes is not None
    assert attributes["messaging.message.conversation_id"] == seen[0]["reply_channel"]
    assert attributes["messaging.message.id"] == f"{seen[0]['reply_channel']}#1"


async def astream(message: Message) -> AsyncIterator[dict[str, str]]:
    await Channel("elsewhere", channel_layer=message.channel_layer).asend({})
    yield {"text": "one"}


def stream(message: Message) -> Iterator[dict[str, str]]:
    Channel("elsewhere", channel_layer=message.channel_layer).send({})
    yield {"text": "one"}


async def aconsumer(message: Message) -> None:
    await Channel("elsewhere", channel_layer=message.channel_layer).asend({})
    await message.reply_channel.asend({"text": "one"})


def consumer(message: Message) -> None:
    Channel("elsewhere", channel_layer=message.channel_layer).send({}, immediately=True)
    message.reply_channel.send({"text": "one"})


def wrapper(message: Message) -> Any:
    return aconsumer(message)


@pytest.mark.parametrize("kind", [consumer, aconsumer, stream, astream, wrapper])
async def test_consumers_of_all_kinds(spans: InMemorySpanExporter, kind: Any) -> None:
    """What a consumer sends is in its span, however it runs; nothing is left of that behind it."""
    layer = InMemoryChannelLayer()
    passed: list[Any] = []
    routing = [
        route("websocket.receive", kind),
        route("elsewhere", lambda message: passed.append(trace.get_current_span().get_span_context().trace_id)),
    ]
    async with inline(layer, *routing) as application, Open(application) as client:
        client.send("hello")
        assert await client.text() == "one"
        await until(lambda: {"process elsewhere", "process websocket.receive"} <= by_name(spans).keys())
        assert not trace.get_current_span().get_span_context().is_valid
    expected = ["process elsewhere", "send elsewhere", "process websocket.receive"]
    assert path(spans, "process elsewhere") == expected
    context = by_name(spans)["process websocket.receive"].context
    assert context is not None
    assert passed == [context.trace_id]


async def test_a_span_tells_of_a_failure(spans: InMemorySpanExporter) -> None:
    """The exception is recorded, and the span is one in error."""
    layer = InMemoryChannelLayer()
    async with inline(layer, route("test", fail)):
        await layer.send("test", {})
        await until(lambda: "process test" in by_name(spans))
    span = by_name(spans)["process test"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "ValueError: as it was told to"
    assert [event.name for event in span.events] == ["exception"]


@pytest.mark.parametrize("name", ["bad name", None])
def test_a_send_that_is_refused(spans: InMemorySpanExporter, default_layer: SyncChannelLayer, name: Any) -> None:
    """Its span is one in error, and the sender gets the exception."""
    with pytest.raises(TypeError, match="a channel name"):
        Channel(name).send({})
    [span] = spans.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR


async def test_another_try_is_in_the_same_trace(spans: InMemorySpanExporter) -> None:
    """A message that is put back carries its trace on."""
    layer = InMemoryChannelLayer()
    tries: list[int] = []

    def consumer(message: Message) -> None:
        tries.append(trace.get_current_span().get_span_context().trace_id)
        if len(tries) < 3:
            raise ConsumeLater

    async with inline(layer, route("test", consumer)):
        await Channel("test", channel_layer=layer).asend({})
        await until(lambda: len(tries) == 3)
    assert len(set(tries)) == 1


def test_the_test_client_sees_no_trace(spans: InMemorySpanExporter, default_layer: SyncChannelLayer) -> None:
    """What tests compare is what was sent, and what consumers get goes on in its trace."""
    client = ConsumerClient([route("a", lambda message: Channel("b").send({"n": 1})), route("b", echo)])
    client.send_and_consume("a")
    assert client.get_next_message("b").content == {"n": 1}  # type: ignore[union-attr]


def test_a_trace_travels_in_the_headers(spans: InMemorySpanExporter, default_layer: SyncChannelLayer) -> None:
    """Neither the dict that was sent nor the one that is received holds any of it."""
    content = {"n": 1}
    Channel("test").send(content)
    assert content == {"n": 1}
    received = default_layer.receive_delivery(["test"])
    assert received is not None
    assert received.content == {"n": 1}
    assert received.headers[tracing.TRACE]["traceparent"]


def test_without_a_provider_nothing_is_done(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API alone costs nothing: sends are what they were."""

    def never(*args: Any) -> None:
        raise AssertionError("a span was begun")

    monkeypatch.setattr(_Send, "__init__", never)
    assert not tracing.on()
    Channel("test").send({"n": 1})
    assert default_layer.receive(["test"])[1] == {"n": 1}


def test_without_the_library() -> None:
    """Everything runs, also with a message that carries the trace of a process that has it."""
    program = """
import sys
sys.modules["opentelemetry"] = None
from routechan import Message, route
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from routechan.telemetry import tracing
from routechan.routing import Router
channel_layers.set(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync)
assert not tracing.on()
seen = []
dispatcher = Dispatcher(Router([route("test", lambda message: seen.append(message.content))]))
channel_layers[DEFAULT_CHANNEL_LAYER].send("test", {"n": 1}, headers={tracing.TRACE: {"traceparent": "x"}})
delivery = channel_layers[DEFAULT_CHANNEL_LAYER].receive_delivery(["test"])
dispatcher.call(dispatcher.match(Message(delivery.content, "test", None), delivery.headers.get(tracing.TRACE)))
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[{'n': 1}]\n", "")
