"""One message: what a consumer may do and raise, and what follows from it."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from routechan import Channel, ChannelSocketException, ConsumeLater, DenyConnection, Message, WebsocketCloseException
from routechan.delivery import flush_sync
from routechan.dispatch import Dispatcher, Run
from routechan.kinds import Kind, kind_of
from routechan.layers import SyncChannelLayer
from routechan.routing import Router, route

from .helpers import drain, message, run_here

REPLY = {"reply_channel": "websocket.send"}


def prepared(consumer: Any, content: dict[str, Any], channel: str, **hooks: Any) -> tuple[Dispatcher, Run]:
    dispatcher = Dispatcher(Router([route(channel, consumer)]), **hooks)
    run = dispatcher.match(message(content, channel))
    assert run is not None
    return dispatcher, run


def run_kind(kind: str, error: BaseException | None, channel: str, content: dict[str, Any], **hooks: Any) -> Run:
    """Run a consumer of each kind that sends one reply and then raises ``error``, as far as one is given."""

    def before(message: Message) -> None:
        assert message.reply_channel is None or message.reply_channel.send({"n": 1}) is None

    if kind == "plain":

        def consumer(message: Message) -> None:
            before(message)
            if error is not None:
                raise error

        dispatcher, run = prepared(consumer, content, channel, **hooks)
        dispatcher.call(run)
    elif kind == "async":

        async def consumer(message: Message) -> None:  # type: ignore[misc]
            before(message)
            await asyncio.sleep(0)
            if error is not None:
                raise error

        dispatcher, run = prepared(consumer, content, channel, **hooks)
        asyncio.run(dispatcher.acall(run))
    elif kind == "stream":

        def consumer(message: Message) -> Iterator[dict[str, Any]]:  # type: ignore[misc]
            before(message)
            if error is not None:
                raise error
            yield from ()

        dispatcher, run = prepared(consumer, content, channel, **hooks)
        dispatcher.iterate(run, None, lambda: True)
    else:

        async def consumer(message: Message) -> AsyncIterator[dict[str, Any]]:  # type: ignore[misc]
            before(message)
            if error is not None:
                raise error
            if error is not None:
                yield {}

        async def emit() -> bool:
            return True

        dispatcher, run = prepared(consumer, content, channel, **hooks)
        asyncio.run(dispatcher.aiterate(run, None, emit))
    flush_sync(run)
    return run


every_kind = pytest.mark.parametrize("kind", ["plain", "async", "stream", "async stream"])


# Kinds


def plain(message: Message) -> None: ...


async def an_async(message: Message) -> None: ...


def a_stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {}


async def an_async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
    yield {}


class Callables:
    def __init__(self, message: Message | None = None) -> None: ...

    def plain(self, message: Message) -> None: ...

    async def an_async(self, message: Message) -> None: ...

    @classmethod
    def a_stream(cls, message: Message) -> Iterator[dict[str, Any]]:
        yield {}

    @staticmethod
    async def an_async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {}


class CallablePlain:
    def __call__(self, message: Message) -> None: ...


class CallableAsync:
    async def __call__(self, message: Message) -> None: ...


class CallableStream:
    def __call__(self, message: Message) -> Iterator[dict[str, Any]]:
        yield {}


class CallableAsyncStream:
    async def __call__(self, message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {}


@functools.wraps(an_async)
def wrapper(message: Message) -> Any:
    return an_async(message)


@pytest.mark.parametrize(
    ("consumer", "kind"),
    [
        (plain, Kind.PLAIN),
        (an_async, Kind.ASYNC),
        (a_stream, Kind.STREAM),
        (an_async_stream, Kind.ASYNC_STREAM),
        (Callables().plain, Kind.PLAIN),
        (Callables().an_async, Kind.ASYNC),
        (Callables.a_stream, Kind.STREAM),
        (Callables.an_async_stream, Kind.ASYNC_STREAM),
        (CallablePlain(), Kind.PLAIN),
        (CallableAsync(), Kind.ASYNC),
        (CallableStream(), Kind.STREAM),
        (CallableAsyncStream(), Kind.ASYNC_STREAM),
        (functools.partial(functools.partial(an_async)), Kind.ASYNC),
        (functools.partial(a_stream), Kind.STREAM),
        (functools.partial(CallableAsync()), Kind.ASYNC),
        (Callables, Kind.PLAIN),
        (CallableAsync, Kind.PLAIN),
        (len, Kind.PLAIN),
        (wrapper, Kind.PLAIN),
    ],
)
def test_kinds(consumer: Any, kind: Kind) -> None:
    """How a consumer runs is decided by what it is, through partials, methods and callable objects."""
    assert kind_of(consumer) is kind


def test_kind_of_an_unhashable_consumer() -> None:
    """A callable object that cannot be hashed, such as an instance of a dataclass, is a consumer too."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self, message: Message) -> None: ...

    assert kind_of(Unhashable()) is Kind.ASYNC


def test_work_to_go_on_with_is_given_back() -> None:
    """A plain wrapper around an async consumer or a generator gives back what is still to be run."""
    for consumer, closing in ((wrapper, "close"), (lambda message: a_stream(message), "close")):
        finished: list[int] = []
        dispatcher, run = prepared(consumer, {}, "test", finished=lambda: finished.append(1))  # noqa: B023
        work = dispatcher.call(run)
        assert work is not None
        assert finished == []
        getattr(work, closing)()


# Outcomes


@every_kind
def test_returning(default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-15: nothing more happens."""
    run = run_kind(kind, None, "websocket.receive", dict(REPLY))
    assert drain(default_layer, "websocket.send") == [{"n": 1}]
    assert (run.later, caplog.records) == (False, [])


@pytest.mark.parametrize("result", [None, 1, "text", {"text": "x"}, [1], object()])
def test_the_result_is_ignored(
    default_layer: SyncChannelLayer, result: object, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-15: whatever a plain consumer returns, it is no work to go on with."""
    dispatcher, run = prepared(lambda message: result, dict(REPLY), "websocket.receive")
    assert dispatcher.call(run) is None
    flush_sync(run)
    assert drain(default_layer, "websocket.send") == []
    assert caplog.records == []


def test_called_with_the_message_and_keyword_arguments() -> None:
    """WK-14: the message is the only positional argument."""
    seen: list[Any] = []

    def consumer(*args: Any, **kwargs: Any) -> None:
        seen.extend([args, kwargs])

    dispatcher = Dispatcher(Router([route("a", consumer, path="^/(?P<room>.+)$")]))
    received = message({"path": "/den"}, "a")
    run = dispatcher.match(received)
    assert run is not None
    dispatcher.call(run)
    assert seen == [(received,), {"room": "den"}]


@every_kind
def test_deny_on_connect(default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-16: the close goes out behind what was sent before."""
    run_kind(kind, DenyConnection(), "websocket.connect", dict(REPLY))
    assert drain(default_layer, "websocket.send") == [{"n": 1}, {"close": True}]
    assert caplog.records == []


@every_kind
@pytest.mark.parametrize(("channel", "content"), [("websocket.receive", REPLY), ("websocket.connect", {})])
def test_deny_elsewhere_is_logged(
    default_layer: SyncChannelLayer, kind: str, channel: str, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-17, WK-29, OB-02: on another channel, or without a reply channel, it is an error with a text to learn from."""
    run_kind(kind, DenyConnection(), channel, dict(content))
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

    run_kind(kind, Bye(), "websocket.receive", dict(REPLY))
    assert drain(default_layer, "websocket.send") == [{"n": 1}, {"text": "bye"}]
    run_kind(kind, WebsocketCloseException(4001), "websocket.receive", dict(REPLY))
    assert drain(default_layer, "websocket.send") == [{"n": 1}, {"close": 4001}]


@every_kind
def test_socket_exception_that_fails_is_logged(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-18, OB-03: an error in ``run`` is logged; what was sent before is delivered."""

    class Broken(ChannelSocketException):
        def run(self, message: Message) -> None:
            raise RuntimeError("broken run")

    run_kind(kind, Broken(), "websocket.receive", dict(REPLY))
    assert drain(default_layer, "websocket.send") == [{"n": 1}]
    assert "broken run" in caplog.text


@every_kind
def test_consume_later_asks_for_another_try(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-19, WK-25: the run says so; what was sent is delivered on each try."""
    run = run_kind(kind, ConsumeLater(), "websocket.receive", dict(REPLY))
    assert run.later
    assert drain(default_layer, "websocket.send") == [{"n": 1}]
    assert caplog.records == []


@every_kind
@pytest.mark.parametrize(
    "error", [RuntimeError("oh"), SystemExit("oh"), ValueError("oh")], ids=lambda e: type(e).__name__
)
def test_other_errors_are_logged(
    default_layer: SyncChannelLayer, kind: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-20: with traceback and the consumer's name, ``SystemExit`` too; ``failed`` is told, and nothing is raised."""
    failed: list[Any] = []
    run = run_kind(kind, error, "websocket.receive", dict(REPLY), failed=lambda *args: failed.append(args))
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"Error in consumer {__name__}.consumer on websocket.receive"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert failed == [(run.message, run.consumer, error)]
    assert drain(default_layer, "websocket.send") == [{"n": 1}]


def test_keyboard_interrupt_in_a_plain_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: a plain consumer runs on a thread, where it can only have raised it itself: logged as any error."""

    def consumer(message: Message) -> None:
        raise KeyboardInterrupt

    run_here(consumer)
    assert "Error in consumer" in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not say whether it is being cancelled")
def test_cancelling_itself_is_an_error_of_the_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: an async consumer that awaits a cancelled task was not cancelled; it has failed, and that is logged."""

    async def consumer(message: Message) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    dispatcher, run = prepared(consumer, {}, "test")
    asyncio.run(dispatcher.acall(run))
    assert "Error in consumer" in caplog.text


def test_a_failing_failed_hook_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: what ``failed`` raises is logged beside the error it was told of."""

    def consumer(message: Message) -> None:
        raise RuntimeError("oh")

    def failed(*args: Any) -> None:
        raise RuntimeError("broken hook")

    run_here(consumer, failed=failed)
    assert len(caplog.records) == 2
    assert "broken hook" in caplog.text


# Hooks


@every_kind
@pytest.mark.parametrize("error", [None, RuntimeError("oh"), ConsumeLater()], ids=lambda e: type(e).__name__)
def test_started_and_finished_around_each_consumer(default_layer: SyncChannelLayer, kind: str, error: Any) -> None:
    """WK-13: once each, however the consumer ends."""
    told: list[str] = []
    run_kind(
        kind,
        error,
        "websocket.receive",
        dict(REPLY),
        started=lambda: told.append("started"),
        finished=lambda: told.append("finished"),
    )
    assert told == ["started", "finished"]


@every_kind
def test_a_failing_start_is_logged(
    default_layer: SyncChannelLayer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WK-27: an error in ``started`` is logged, the consumer does not run, ``finished`` is told."""
    told: list[str] = []

    def started() -> None:
        raise RuntimeError("broken hook")

    run_kind(kind, None, "websocket.receive", dict(REPLY), started=started, finished=lambda: told.append("finished"))
    assert "broken hook" in caplog.text
    assert drain(default_layer, "websocket.send") == []
    assert told == ["finished"]


# Another try


def test_last_try_is_marked() -> None:
    """WK-10: ``__doomed__`` on the message whose ``__retries__`` is the number allowed, on no other."""
    dispatcher = Dispatcher(Router([route("a", plain)]), retries=3)
    for content, doomed in (({}, False), ({"__retries__": 2}, False), ({"__retries__": 3}, True)):
        received = message(content, "a")
        dispatcher.match(received)
        assert getattr(received, "__doomed__", False) is doomed


def test_may_retry_counts_and_drops(caplog: pytest.LogCaptureFixture) -> None:
    """WK-21: the count travels in the content; beyond the number allowed a warning shows 100 characters of it."""
    dispatcher = Dispatcher(Router([route("a", plain)]), retries=2)
    content: dict[str, Any] = {"text": "x" * 200}
    answers = []
    for _ in range(3):
        run = dispatcher.match(message(content, "a"))
        assert run is not None
        answers.append(dispatcher.may_retry(run))
    assert answers == [True, True, False]
    assert content["__retries__"] == 3
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith(
        f"plain on a asked for another try 2 times; the message is dropped: {repr(content)[:100]}"
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

    dispatcher, run = prepared(consumer, dict(REPLY), "websocket.receive")
    seen: list[Any] = []

    def emit() -> bool:
        flush_sync(run)
        seen.extend(drain(default_layer, "websocket.send"))
        return len(seen) < 3

    dispatcher.iterate(run, None, emit)
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

    def consumer(message: Message) -> Iterator[Any]:
        yield item

    dispatcher, run = prepared(consumer, dict(content), "websocket.receive")
    dispatcher.iterate(run, None, lambda: True)
    (record,) = caplog.records
    assert record.exc_info is not None
    with pytest.raises(TypeError, match=text):
        raise record.exc_info[1]  # type: ignore[misc]


def test_refusing_a_run_is_an_error_of_the_consumer(caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that could not be started is reported as one that raised."""
    failed: list[Any] = []
    dispatcher, run = prepared(plain, {}, "test", failed=lambda *args: failed.append(args))
    error = RuntimeError("no thread left")
    dispatcher.refuse(run, error)
    assert failed == [(run.message, plain, error)]
    assert run.closed


async def test_an_async_consumer_may_use_plain_sends(default_layer: SyncChannelLayer) -> None:
    """PM-02: ``send`` and ``asend`` are both delayed in an async consumer, in one order."""

    async def consumer(message: Message) -> None:
        Channel("a").send({"n": 1})
        await Channel("a").asend({"n": 2})
        await Channel("a").asend({"n": 0}, immediately=True)

    dispatcher, run = prepared(consumer, {}, "test")
    await dispatcher.acall(run)
    assert drain(default_layer, "a") == [{"n": 0}, {"n": 1}, {"n": 2}]
