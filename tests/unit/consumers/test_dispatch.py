"""One message: what a consumer may do and raise, and what follows from it."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Channel, ChannelSocketException, ConsumeLater, DenyConnection, Message, WebsocketCloseException
from routechan.consumers.dispatch import Dispatcher, Invocation
from routechan.layers import SyncChannelLayer
from routechan.outbox import flush_sync
from routechan.routing import Router, route

from ..helpers import KINDS, CustomRoute, a_consumer, drain, matched, message, of_kind, run_here, run_on_loop

REPLY = {"reply_channel": "websocket.send"}
RECEIVE = "websocket.receive"

every_kind = pytest.mark.parametrize("kind", KINDS)


def run_kind(
    kind: str, error: BaseException | None = None, channel: str = RECEIVE, content: Any = REPLY, **hooks: Any
) -> Invocation:
    """Run a consumer of ``kind`` that sends one reply and then raises ``error``, as far as one is given."""

    def consumer(message: Message) -> None:
        if message.reply_channel is not None:
            message.reply_channel.send({"n": 1})
        if error is not None:
            raise error

    return run_here(of_kind(kind, consumer), dict(content), channel, **hooks)


# Outcomes


@every_kind
@pytest.mark.parametrize(
    ("error", "channel", "sent"),
    [
        (None, RECEIVE, []),  # WK-15: nothing more happens
        (DenyConnection(), "websocket.connect", [{"close": True}]),  # WK-16
        (WebsocketCloseException(4001), RECEIVE, [{"close": 4001}]),  # WK-18
        (ConsumeLater(), RECEIVE, []),  # WK-19, WK-25: what was sent is delivered on each try
    ],
    ids=["returns", "denies", "closes", "later"],
)
def test_outcomes(
    default_layer: SyncChannelLayer, kind: str, error: Any, channel: str, sent: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-15, WK-16, WK-18, WK-19: what follows goes out behind what was sent before; nothing is logged."""
    invocation = run_kind(kind, error, channel)
    assert drain(default_layer, "websocket.send") == [{"n": 1}, *sent]
    assert invocation.later is isinstance(error, ConsumeLater)
    assert caplog.records == []


@pytest.mark.parametrize("result", [None, 1, "text", {"text": "x"}, [1], object()])
def test_the_result_is_ignored(
    default_layer: SyncChannelLayer, result: object, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-15: whatever a plain consumer returns, it is nothing to be finished elsewhere."""
    dispatcher, invocation = matched(lambda message: result, dict(REPLY), RECEIVE)
    assert dispatcher.call(invocation) is None
    flush_sync(invocation)
    assert drain(default_layer, "websocket.send") == []
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["decorated async", "decorated stream"])
def test_an_unfinished_result_is_returned(kind: str) -> None:
    """A plain wrapper around an async consumer or a generator returns what is still to be run; it has not ended."""
    finished: list[int] = []
    dispatcher, invocation = matched(of_kind(kind, a_consumer), finished=lambda: finished.append(1))
    unfinished = dispatcher.call(invocation)
    assert unfinished is not None
    assert finished == []
    unfinished.close()


def test_called_with_the_message_and_keyword_arguments() -> None:
    """WK-14: the message is the only positional argument."""
    seen: list[Any] = []

    def consumer(*args: Any, **kwargs: Any) -> None:
        seen.extend([args, kwargs])

    dispatcher = Dispatcher(Router([route("a", consumer, path="^/(?P<room>.+)$")]))
    received = message({"path": "/den"}, "a")
    invocation = dispatcher.match(received)
    assert invocation is not None
    dispatcher.call(invocation)
    assert seen == [(received,), {"room": "den"}]


@every_kind
@pytest.mark.parametrize(("channel", "content"), [(RECEIVE, REPLY), ("websocket.connect", {})])
def test_deny_elsewhere_is_logged(
    default_layer: SyncChannelLayer, kind: str, channel: str, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-17, WK-29, OB-02: on another channel, or without a reply channel, it is an error with a text to learn from."""
    run_kind(kind, DenyConnection(), channel, content)
    assert {"close": True} not in drain(default_layer, "websocket.send")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "raise it only on websocket.connect, and close an open socket with" in str(record.exc_info[1])


@every_kind
def test_socket_exception_acts(default_layer: SyncChannelLayer, kind: str) -> None:
    """WK-18: its ``run`` is called, and what it sends is delivered with the rest."""

    class Bye(ChannelSocketException):
        def run(self, message: Message) -> None:
            assert message.reply_channel is not None
            message.reply_channel.send({"text": "bye"})
            assert drain(default_layer, "websocket.send") == []

    run_kind(kind, Bye())
    assert drain(default_layer, "websocket.send") == [{"n": 1}, {"text": "bye"}]


@every_kind
@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_socket_exception_that_fails_is_logged(
    default_layer: SyncChannelLayer, kind: str, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """WK-18, WK-20, OB-03: an error in ``run`` is logged, also a ``SystemExit``; what was sent before is delivered."""

    class Broken(ChannelSocketException):
        def run(self, message: Message) -> None:
            raise error("broken run")

    run_kind(kind, Broken())
    assert drain(default_layer, "websocket.send") == [{"n": 1}]
    assert "broken run" in caplog.text


@every_kind
@pytest.mark.parametrize(
    "error", [RuntimeError("oh"), SystemExit("oh"), ValueError("oh")], ids=lambda e: type(e).__name__
)
def test_other_errors_are_logged(
    default_layer: SyncChannelLayer, kind: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: with traceback and the consumer's name, ``SystemExit`` too; ``failed`` is told, and nothing is raised."""
    failed: list[Any] = []
    invocation = run_kind(kind, error, failed=lambda *args: failed.append(args))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"Error in consumer {__name__}.consumer on websocket.receive"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert failed == [(invocation.message, invocation.consumer, error)]
    assert drain(default_layer, "websocket.send") == [{"n": 1}]


def test_keyboard_interrupt_in_a_plain_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: a plain consumer runs on a thread, where it can only have raised it itself: logged as any error."""
    run_kind("plain", KeyboardInterrupt(), content={})
    assert "Error in consumer" in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it is being cancelled")
def test_cancelling_itself_is_an_error_of_the_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: an async consumer that awaits a cancelled task was not cancelled; it has failed, and that is logged."""

    async def consumer(message: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    run_here(consumer)
    assert "Error in consumer" in caplog.text


def test_a_failing_failed_hook_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: what ``failed`` raises is logged beside the error it was told of."""

    def failed(*args: Any) -> None:
        raise RuntimeError("broken hook")

    run_kind("plain", RuntimeError("oh"), content={}, failed=failed)
    assert len(caplog.records) == 2
    assert "broken hook" in caplog.text


# Hooks


@every_kind
@pytest.mark.parametrize("error", [None, RuntimeError("oh"), ConsumeLater()], ids=lambda e: type(e).__name__)
def test_started_and_finished_around_each_consumer(default_layer: SyncChannelLayer, kind: str, error: Any) -> None:
    """WK-13: once each, however the consumer ends."""
    told: list[str] = []
    run_kind(kind, error, started=lambda: told.append("started"), finished=lambda: told.append("finished"))
    assert told == ["started", "finished"]


@every_kind
def test_a_failing_start_is_logged(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-27: an error in ``started`` is logged, the consumer does not run, ``finished`` is told."""
    told: list[str] = []

    def started() -> None:
        raise RuntimeError("broken hook")

    run_kind(kind, started=started, finished=lambda: told.append("finished"))
    assert "broken hook" in caplog.text
    assert drain(default_layer, "websocket.send") == []
    assert told == ["finished"]


# Matching


def test_a_message_no_route_takes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """RT-36, WK-11: an error that names the channel; the message is lost."""
    dispatcher = Dispatcher(Router([route("a", a_consumer, path="^/x$")]))
    assert dispatcher.match(message({"path": "/y"}, "a")) is None
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("ERROR", "No route takes a message on a; it is dropped")


def test_a_route_that_raises_costs_its_message_only(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28: an error while matching is logged, and the message dropped."""
    dispatcher = Dispatcher(Router([CustomRoute(RuntimeError("broken route"))]))
    assert dispatcher.match(message({}, "custom")) is None
    assert "Routing a message on custom failed; it is dropped" in caplog.text
    assert "broken route" in caplog.text


# Another try


@pytest.mark.parametrize(("content", "doomed"), [({}, False), ({"__retries__": 2}, False), ({"__retries__": 3}, True)])
def test_last_try_is_marked(content: dict[str, Any], doomed: bool) -> None:
    """WK-10: ``__doomed__`` on the message whose ``__retries__`` is the number allowed, on no other."""
    _, invocation = matched(a_consumer, content, retries=3)
    assert getattr(invocation.message, "__doomed__", False) is doomed


def test_may_retry_counts_and_drops(caplog: pytest.LogCaptureFixture) -> None:
    """WK-21: the count travels in the content; beyond the number allowed a warning shows 100 characters of it."""
    content: dict[str, Any] = {"text": "x" * 200}
    dispatcher, invocation = matched(a_consumer, content, retries=2)
    assert [dispatcher.may_retry(invocation) for _ in range(3)] == [True, True, False]
    assert content["__retries__"] == 3
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith(
        f"a_consumer on test asked for another try 2 times; the message is dropped: {repr(content)[:100]}"
    )


# Streams


def test_each_step_is_emitted(default_layer: SyncChannelLayer) -> None:
    """A generator's dicts go to the reply channel one by one; ``emit`` saying no ends and closes it."""
    closed: list[bool] = []

    def consumer(message: Message) -> Iterator[dict[str, Any]]:
        try:
            for number in range(10):
                yield {"n": number}
        finally:
            closed.append(True)

    dispatcher, invocation = matched(consumer, dict(REPLY), RECEIVE)
    seen: list[Any] = []

    def emit() -> bool:
        flush_sync(invocation)
        seen.extend(drain(default_layer, "websocket.send"))
        return len(seen) < 3

    dispatcher.iterate(invocation, None, emit)
    assert seen == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert closed == [True]


@pytest.mark.parametrize(
    ("content", "item", "text"),
    [
        (
            REPLY,
            "text",
            r"a streaming consumer yields dicts for its reply channel, such as \{'text': 'hello'\}, not 'text'",
        ),
        (REPLY, None, "a streaming consumer yields dicts for its reply channel, .* not None"),
        ({}, {"text": "x"}, "a streaming consumer needs a message with a reply channel to yield to"),
    ],
)
def test_what_a_stream_may_yield(
    default_layer: SyncChannelLayer, content: Any, item: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything but a dict, or a dict with nowhere to go, is an error that says what to yield."""
    run_here(of_kind("stream", lambda message: [item]), dict(content))
    (record,) = caplog.records
    assert record.exc_info is not None
    with pytest.raises(TypeError, match=text):
        raise record.exc_info[1]


@pytest.mark.parametrize("kind", ["stream", "async stream", "decorated stream"])
def test_where_a_stream_yields_something_else(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback has no line of the consumer, which was not running, so the text has it."""

    def stream(message: Message) -> Any:
        yield "text"

    async def async_stream(message: Message) -> Any:
        yield "text"

    def decorated(message: Message) -> Any:
        yield from stream(message)

    consumer: Any = {"stream": stream, "async stream": async_stream, "decorated stream": decorated}[kind]
    line = (async_stream if kind == "async stream" else stream).__code__.co_firstlineno + 1
    run_here(consumer, dict(REPLY))
    (record,) = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]).endswith(f"not 'text', as at {__file__}:{line}")


@pytest.mark.parametrize(
    ("channel", "hint"), [("a", "; send() returns nothing to await: write await ... .asend(...)"), (None, "")]
)
def test_a_plain_send_that_is_awaited(
    default_layer: SyncChannelLayer, channel: str | None, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As consumers of Channels 4 do; another ``await`` of nothing is nobody's send."""

    async def consumer(message: Message) -> None:
        if channel is not None:
            await Channel(channel).send({"n": 1})  # type: ignore[func-returns-value]
        await None  # type: ignore[misc]

    run_here(consumer, dict(REPLY))
    (record,) = caplog.records
    assert record.getMessage().endswith(f".consumer on test{hint}")


def test_a_refused_invocation_is_an_error_of_the_consumer() -> None:
    """A consumer that could not be started is reported as one that raised."""
    failed: list[Any] = []
    dispatcher, invocation = matched(a_consumer, failed=lambda *args: failed.append(args))
    error = RuntimeError("no thread left")
    dispatcher.refuse(invocation, error)
    assert failed == [(invocation.message, a_consumer, error)]
    assert invocation.closed


async def test_an_async_consumer_may_use_plain_sends(default_layer: SyncChannelLayer) -> None:
    """PM-02: ``send`` and ``asend`` are both delayed in an async consumer, in one order."""

    async def consumer(message: Message) -> None:
        Channel("a").send({"n": 1})
        await Channel("a").asend({"n": 2})
        await Channel("a").asend({"n": 0}, immediately=True)

    await run_on_loop(consumer)
    assert drain(default_layer, "a") == [{"n": 0}, {"n": 1}, {"n": 2}]
