"""The worker of 1.x: takes messages off a layer and runs their consumers, one at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import routechan
from routechan import Channel, ConsumeLater, DenyConnection, Message, WebsocketCloseException, route
from routechan.layers import InMemoryChannelLayer
from routechan.layers import memory as memory_module
from routechan.routing import Router
from routechan.worker import Worker, WorkerGroup
from routechan.worker import worker as worker_module
from tests.waiting import wait_until

from .helpers import DEADLINE, ForeignLayer, drain


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sees the end of its rounds soon."""
    monkeypatch.setattr(memory_module, "BLOCKING_WAIT", 0.01)
    monkeypatch.setattr(worker_module, "FAULT_DELAY", 0.01)
    monkeypatch.setattr(worker_module, "REQUEUE_INTERVAL", 0.001)


class Rounds(Worker):
    """As the tests of 1.x made them: ``termed`` counts rounds down."""

    def get_termed(self) -> bool:
        if not self._rounds:
            return True
        self._rounds -= 1
        return False

    def set_termed(self, value: int) -> None:
        self._rounds = value

    termed = property(get_termed, set_termed)  # type: ignore[assignment]


def made_layer(routing: Any, **options: Any) -> Any:
    layer = InMemoryChannelLayer(**options).sync
    layer.router = Router(routing)  # type: ignore[attr-defined]
    return layer


def work(layer: Any, rounds: int, **options: Any) -> Rounds:
    worker = Rounds(layer, signal_handlers=False, **options)
    worker.termed = rounds
    worker.run()
    return worker


class Running:
    """A worker on a thread, ended with the ``with`` block."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.thread = threading.Thread(target=worker.run)

    def __enter__(self) -> Worker:
        self.thread.start()
        return self.worker

    def __exit__(self, *exc_info: object) -> None:
        self.worker.stop()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()


def ignore(message: Message) -> None: ...


# Construction and filters


def test_attributes() -> None:
    """WK-01: the arguments, in the order of 1.x, are attributes; ``termed`` and ``in_job`` are False."""
    layer = made_layer([])
    worker = Worker(layer, print, 3, False, ["a"], ["b"])
    assert (worker.channel_layer, worker.callback, worker.message_retries) == (layer, print, 3)
    assert (worker.signal_handlers, worker.only_channels, worker.exclude_channels) == (False, ["a"], ["b"])
    assert (worker.termed, worker.in_job) == (False, False)
    plain = Worker(layer)
    assert (plain.callback, plain.message_retries, plain.signal_handlers) == (None, 10, True)
    assert (plain.only_channels, plain.exclude_channels) == (None, None)


def test_termed_is_read_once_in_each_round() -> None:
    """WK-01, WK-26: before receiving; with two rounds allowed, two messages of three are taken."""
    seen: list[int] = []
    layer = made_layer([route("a", lambda message: seen.append(message["n"]))])
    for number in range(3):
        layer.send("a", {"n": number})
    work(layer, 2)
    assert seen == [0, 1]
    assert drain(layer, "a") == [{"n": 2}]


def test_channel_filters() -> None:
    """WK-02: globs, kept then removed, in order; without filters what was given comes back."""
    worker = Worker(None, only_channels=["yes.*", "maybe.*"])
    assert worker.apply_channel_filters(["yes.1", "no.1"]) == ["yes.1"]
    assert worker.apply_channel_filters(["yes.1", "no.1", "maybe.2", "yes"]) == ["yes.1", "maybe.2"]
    worker = Worker(None, exclude_channels=["no.*", "maybe.*"])
    assert worker.apply_channel_filters(["yes.1", "no.1", "maybe.2", "yes"]) == ["yes.1", "yes"]
    worker = Worker(None, exclude_channels=["no.*"], only_channels=["yes.*"])
    assert worker.apply_channel_filters(["yes.1", "no.1", "maybe.2", "yes"]) == ["yes.1"]
    assert Worker(None, only_channels=["YES.*"]).apply_channel_filters(["yes.1"]) == []
    given = {"a", "b"}
    assert Worker(None, only_channels=[]).apply_channel_filters(given) is given


def test_filters_decide_what_is_taken() -> None:
    """WK-02, RT-35: what is filtered out waits in its channel, as does what no route names."""
    layer = made_layer([route("yes.a", ignore), route("yes.b", ignore), route("no", ignore)])
    for name in ("yes.a", "yes.b", "no", "elsewhere"):
        layer.send(name, {})
    work(layer, 4, only_channels=["yes.*"], exclude_channels=["*.b"])
    assert [bool(drain(layer, name)) for name in ("yes.a", "yes.b", "no", "elsewhere")] == [False, True, True, True]


def test_ready() -> None:
    """WK-03: the hook gets the worker; ``run`` does not call it."""
    told: list[Worker] = []
    worker = Rounds(made_layer([]), signal_handlers=False, ready_hook=told.append)
    worker.termed = 1
    worker.run()
    assert told == []
    worker.ready()
    assert told == [worker]
    Worker(None).ready()


# The loop


def test_channels_are_listed_once(caplog: pytest.LogCaptureFixture) -> None:
    """WK-04: logged sorted at INFO; a route added later is not listened to."""
    caplog.set_level(logging.INFO, "routechan")
    layer = made_layer([route(["b", "a"], ignore)])

    def add(message: Message) -> None:
        layer.router.add_route(route("late", ignore))
        layer.send("late", {})

    layer.router.add_route(route("c", add))
    layer.send("c", {})
    work(layer, 3)
    assert "Listening on channels a, b, c" in [record.getMessage() for record in caplog.records]
    assert drain(layer, "late") == [{}]


def test_receives_with_receive_many() -> None:
    """WK-08: a list of names, blocking; where a layer answers nothing at once, the worker sleeps 10 ms."""
    slept: list[float] = []
    asked: list[Any] = []

    class Layer(ForeignLayer):
        router = Router([route(["b", "a"], ignore)])

        def receive_many(self, channels: Any, block: bool = False) -> tuple[None, None]:
            asked.append((channels, block))
            return None, None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module.time, "sleep", slept.append)
        work(Layer(), 2)
    assert asked == [(["a", "b"], True)] * 2
    assert slept == [0.01, 0.01]


def test_in_job() -> None:
    """WK-07: False around the receive call only; True in the consumer and in the idle sleep."""
    seen: list[tuple[str, bool]] = []
    answers: list[tuple[str | None, Any]] = [("a", {}), (None, None)]
    worker: Worker

    class Layer(ForeignLayer):
        router = Router([route("a", lambda message: seen.append(("consumer", worker.in_job)))])

        def receive_many(self, channels: Any, block: bool = False) -> Any:
            seen.append(("receive", worker.in_job))
            return answers.pop(0)

    worker = Rounds(Layer(), signal_handlers=False)
    worker.termed = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module.time, "sleep", lambda seconds: seen.append(("sleep", worker.in_job)))
        worker.run()
    assert seen == [("receive", False), ("consumer", True), ("receive", False), ("sleep", True)]


def test_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    """WK-09: one line for each message, with its reply channel, and one for each dispatch, with the consumer."""
    caplog.set_level(logging.DEBUG, "routechan")
    layer = made_layer([route("a", ignore)])
    layer.send("a", {"reply_channel": "reply"})
    work(layer, 1)
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert texts == ["Got a message on a (reply channel reply)", f"Dispatching {__name__}.ignore on a"]


def test_normal_run() -> None:
    """WK-14: the consumer runs once with the received dict, and nothing is sent."""
    seen: list[Message] = []
    layer = made_layer([route("a", lambda message, room: seen.append(message), path="^/(?P<room>.+)$")])
    layer.send("a", {"path": "/den"})
    layer.send = sent = lambda *args: pytest.fail("nothing is to be sent")
    work(layer, 2)
    assert [message.content for message in seen] == [{"path": "/den"}]
    assert (seen[0].channel_name, seen[0].channel_layer) == ("a", layer)
    assert layer.send is sent


def test_no_route(caplog: pytest.LogCaptureFixture) -> None:
    """WK-11: an error with the channel's name; neither callback nor hooks hear of it, the next message is taken."""
    told: list[Any] = []
    layer = made_layer([route("a", lambda message: told.append("ran"), path="^/x$")])
    layer.send("a", {"path": "/y"})
    layer.send("a", {"path": "/x"})
    work(
        layer,
        2,
        callback=lambda channel, message: told.append(message["path"]),
        started=lambda: told.append("started"),
        finished=lambda: told.append("finished"),
    )
    assert told == ["/x", "started", "ran", "finished"]
    assert "No route takes a message on a" in caplog.text


def test_callback_and_hooks_in_order() -> None:
    """WK-12, WK-13, 0.1: callback, started, the consumer, finished, then the flush."""
    told: list[Any] = []
    layer = made_layer([])

    def consumer(message: Message) -> None:
        told.append("consumer")
        Channel("out", channel_layer=layer).send({})

    def finished() -> None:
        told.append(("finished", drain(layer, "out")))

    layer.router.add_route(route("a", consumer))
    layer.send("a", {})
    work(
        layer,
        1,
        callback=lambda channel, message: told.append((channel, type(message))),
        started=lambda: told.append("started"),
        finished=finished,
    )
    assert told == [("a", Message), "started", "consumer", ("finished", [])]
    assert drain(layer, "out") == [{}]


# Consumers of every kind


async def an_async(message: Message) -> None:
    await asyncio.sleep(0)
    message.reply_channel.send({"n": 1})  # type: ignore[union-attr]
    message.reply_channel.send({"n": 2})  # type: ignore[union-attr]


def a_stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {"n": 1}
    yield {"n": 2}


async def an_async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
    yield {"n": 1}
    await asyncio.sleep(0)
    yield {"n": 2}


@pytest.mark.parametrize("consumer", [an_async, a_stream, an_async_stream], ids=lambda consumer: consumer.__name__)
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_kind_of_consumer(consumer: Callable[..., Any], wrapped: bool) -> None:
    """WK-14: async functions and generators run to their end, also behind a decorator for plain functions."""
    layer = made_layer([route("a", (lambda message: consumer(message)) if wrapped else consumer)])
    layer.send("a", {"reply_channel": "reply"})
    layer.send("a", {"reply_channel": "reply"})
    told: list[str] = []
    work(layer, 2, started=lambda: told.append("started"), finished=lambda: told.append("finished"))
    assert drain(layer, "reply") == [{"n": 1}, {"n": 2}] * 2
    assert told == ["started", "finished"] * 2


def test_a_stream_is_delivered_step_by_step() -> None:
    """Each dict is on its way while the generator still runs."""
    layer = made_layer([])
    seen: list[Any] = []

    def consumer(message: Message) -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        seen.extend(drain(layer, "reply"))

    layer.router.add_route(route("a", consumer))
    layer.send("a", {"reply_channel": "reply"})
    work(layer, 1)
    assert seen == [{"n": 1}]


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_endless_stream_ends_with_the_worker(kind: str) -> None:
    """WK-26: a stream is closed at its next step once the worker is to end."""
    closed = threading.Event()

    def plain(message: Message) -> Iterator[dict[str, Any]]:
        try:
            while True:
                yield {}
        finally:
            closed.set()

    async def an_async(message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {}
        finally:
            closed.set()

    layer = made_layer([route("a", plain if kind == "plain" else an_async)], capacity=10**6)
    layer.send("a", {"reply_channel": "reply"})
    with Running(Worker(layer, signal_handlers=False)):
        wait_until(lambda: layer.channel_statistics("reply")["messages_pending"] > 2)
    assert closed.is_set()


def test_a_task_outlives_its_async_consumer() -> None:
    """The loop of the worker goes on between messages, and ends with the worker."""
    layer = made_layer([])
    cancelled: list[bool] = []

    async def rest(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(0.001)
        layer.send(name, {"late": True})
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def consumer(message: Message) -> None:
        consumer.task = asyncio.create_task(rest("reply"))  # type: ignore[attr-defined]

    layer.router.add_route(route("a", consumer))
    layer.send("a", {})
    with Running(Worker(layer, signal_handlers=False)):
        wait_until(lambda: drain(layer, "reply") == [{"late": True}])
    assert cancelled == [True]


# Another try


def test_consume_later() -> None:
    """WK-22: the message is run again; one send on the layer given, as a test of 1.x counted."""
    tries: list[int] = []
    sent: list[str] = []

    def consumer(message: Message) -> None:
        tries.append(message.get("__retries__", 0))
        if len(tries) == 1:
            raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    send = layer.send
    layer.send = lambda channel, content: (sent.append(channel), send(channel, content))[1]
    work(layer, 2)
    assert tries == [0, 1]
    assert sent == ["a"]


def test_consume_later_is_limited(caplog: pytest.LogCaptureFixture) -> None:
    """WK-21: with ten retries the consumer runs eleven times; then a warning, and the message is dropped."""
    doomed: list[bool] = []

    def consumer(message: Message) -> None:
        doomed.append(getattr(message, "__doomed__", False))
        raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    work(layer, 15)
    assert doomed == [False] * 10 + [True]  # WK-10
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "asked for another try 10 times; the message is dropped" in record.getMessage()


def test_message_retries_is_per_worker() -> None:
    """WK-25: another number of tries is an argument."""
    tries: list[int] = []

    def consumer(message: Message) -> None:
        tries.append(1)
        raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    work(layer, 5, message_retries=2)
    assert len(tries) == 3


def test_the_message_goes_to_the_end_as_the_consumer_left_it() -> None:
    """WK-24: behind what waits already, with the changes made to its content."""
    seen: list[Any] = []

    def consumer(message: Message) -> None:
        seen.append(dict(message.content))
        if message["n"] == 1 and "mark" not in message:
            message["mark"] = True
            raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    layer.send("a", {"n": 1})
    layer.send("a", {"n": 2})
    work(layer, 3)
    assert seen == [{"n": 1}, {"n": 2}, {"n": 1, "mark": True, "__retries__": 1}]


def test_put_back_before_the_flush() -> None:
    """WK-22: the message is sent back at once, before what the consumer sent; WK-25, OB-10: that leaves on each try."""
    order: list[str] = []

    def consumer(message: Message) -> None:
        Channel("out", channel_layer=layer).send({})
        raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    send = layer.send
    layer.send = lambda channel, content: (order.append(channel), send(channel, content))[1]
    work(layer, 3, message_retries=1)
    assert order == ["a", "out", "out"]


def test_a_full_channel_is_tried_ten_times(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """WK-23, OB-09: 0.05 s apart; then the message is dropped, which is logged, and the rest is sent."""
    monkeypatch.setattr(worker_module, "REQUEUE_INTERVAL", 0.05)
    slept: list[float] = []
    refused: list[str] = []

    def consumer(message: Message) -> None:
        Channel("out", channel_layer=layer).send({})
        raise ConsumeLater

    class Full(ForeignLayer):
        router = Router([route("a", consumer)])
        waiting: ClassVar[list[Any]] = [("a", {"n": 1})]

        def receive_many(self, channels: Any, block: bool = False) -> Any:
            return self.waiting.pop()

        def send(self, channel: str, content: dict[str, Any]) -> None:
            if channel == "a":
                refused.append(channel)
                raise self.ChannelFull  # its own, as the layers of 1.x have
            super().send(channel, content)

    layer = Full()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module.time, "sleep", slept.append)
        work(layer, 1)
    assert len(refused) == 10
    assert slept == [0.05] * 9
    assert layer.calls == [("send", "out", {})]
    assert "asked for another try, but a stayed full" in caplog.text


def test_a_put_back_that_fails_costs_the_message_only(caplog: pytest.LogCaptureFixture) -> None:
    """OB-34: a layer that is lost while a message goes back; the rest is sent, and the worker goes on."""
    seen: list[int] = []

    def consumer(message: Message) -> None:
        seen.append(message["n"])
        Channel("out", channel_layer=layer).send({"n": message["n"]})
        if message["n"] == 1:
            message["bad"] = object()
            raise ConsumeLater

    layer = made_layer([route("a", consumer)])
    for number in (1, 2):
        layer.send("a", {"n": number})
    work(layer, 2)
    assert seen == [1, 2]
    assert drain(layer, "out") == [{"n": 1}, {"n": 2}]
    assert "Handling a message on a failed; it is dropped" in caplog.text


# What ended a worker of 1.x


def goes_on(layer: Any, caplog: pytest.LogCaptureFixture, text: str, **options: Any) -> None:
    """After whatever waits in ``a``, a message on ``next`` is still run, and ``text`` is in the log."""
    ran: list[bool] = []
    layer.router.add_route(route("next", lambda message: ran.append(True)))
    worker = Worker(layer, signal_handlers=False, **options)
    with Running(worker):
        wait_until(lambda: text in caplog.text, f"{text!r} in the log")
        layer.send("next", {})
        wait_until(lambda: ran)


def raising(error: BaseException, times: int = 1000) -> Callable[..., Any]:
    left = [error] * times

    def raise_it(*args: Any) -> None:
        if left:
            raise left.pop()

    return raise_it


@pytest.mark.parametrize(
    ("consumer", "text"),
    [
        (raising(RuntimeError("broken consumer")), "broken consumer"),
        (raising(SystemExit("broken consumer")), "broken consumer"),  # WK-20
        (raising(KeyboardInterrupt("broken consumer")), "broken consumer"),  # WK-20
        (raising(DenyConnection()), "DenyConnection refuses a handshake"),  # WK-17, WK-29, OB-02
        (raising(WebsocketCloseException()), "WebsocketCloseException closes a WebSocket"),  # WK-18, OB-03
        ([].append, ""),  # WK-31, OB-05: a built-in
        (raising(AttributeError("x")).__call__, "Error in consumer"),  # WK-31: a bound method
    ],
    ids=["error", "exit", "interrupt", "deny", "close", "builtin", "bound"],
)
def test_no_consumer_ends_a_worker(consumer: Any, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-17, WK-18, WK-20, WK-29, WK-30, WK-31: logged, and the next message is taken."""
    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    goes_on(layer, caplog, text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit("broken"), "Error in consumer"),
        (KeyboardInterrupt("broken"), "An async consumer was broken off"),
        (asyncio.CancelledError("broken"), "on a"),
    ],
    ids=["exit", "interrupt", "cancelled"],
)
def test_no_async_consumer_ends_a_worker(error: BaseException, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: nor do the exceptions that end an event loop; async consumers still run after them."""

    async def consumer(message: Message) -> None:
        raise error

    ran: list[bool] = []

    async def another(message: Message) -> None:
        ran.append(True)

    layer = made_layer([route("a", consumer), route("b", another)])
    layer.send("a", {})
    goes_on(layer, caplog, text)
    layer.send("b", {})
    work(layer, 1)
    assert ran == [True]


@pytest.mark.parametrize("hook", ["callback", "started", "finished", "failed"])
def test_no_hook_ends_a_worker(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-12, WK-27, WK-28, OB-06: what a callback or a hook raises is logged; the callback costs no message."""
    ran: list[bool] = []

    def consumer(message: Message) -> None:
        ran.append(True)
        if hook == "failed":
            raise RuntimeError("consumer")

    layer = made_layer([route("a", consumer)])
    layer.send("a", {})
    goes_on(layer, caplog, "broken hook", **{hook: raising(RuntimeError("broken hook"), times=1)})
    assert ran == ([] if hook == "started" else [True])


def test_no_full_channel_ends_a_worker(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """WK-27, OB-01: a full target at flush time costs its message, logged; the rest is delivered."""
    monkeypatch.setattr("routechan.delivery.FULL_RETRY_TIME", 0)

    def consumer(message: Message) -> None:
        for name in ("full", "out"):
            Channel(name, channel_layer=layer).send({})

    layer = made_layer([route("a", consumer)], channel_capacity={"full": 1})
    layer.send("full", {})
    layer.send("a", {})
    goes_on(layer, caplog, "a message to full could not be delivered")
    assert drain(layer, "out") == [{}]


@pytest.mark.parametrize("value", [None, 7, "caf\xe9".encode()])
def test_no_content_ends_a_worker(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """WK-28, OB-04: a filter on a value that is no text does not match."""
    layer = made_layer([route("a", ignore, path="^/x$")])
    layer.send("a", {"path": value})
    goes_on(layer, caplog, "No route takes a message on a")


def test_no_bad_message_ends_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28: whatever a layer hands over, such as content that is no dict."""
    layer = made_layer([route("a", ignore)])
    receive, bad = layer.receive_many, [("a", ["no", "dict"]), ("a", None)]
    layer.receive_many = lambda channels, block=False: bad.pop() if bad else receive(channels, block)
    goes_on(layer, caplog, "Handling a message on a failed; it is dropped: ['no', 'dict']")


def test_no_lost_layer_ends_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28, OB-34: an error of the layer is logged, and the worker tries again."""
    layer = made_layer([])
    receive, errors = layer.receive_many, [ConnectionError("lost broker"), ConnectionError("lost broker")]

    def receive_many(channels: Any, block: bool = False) -> Any:
        if errors:
            raise errors.pop()
        return receive(channels, block)

    layer.receive_many = receive_many
    goes_on(layer, caplog, "The channel layer gave no answer; trying again in 0.01 seconds")
    assert caplog.text.count("ConnectionError: lost broker") == 2


def test_it_waits_before_it_asks_a_lost_layer_again() -> None:
    """OB-34: a lost layer is not asked in a busy loop; a signal in that time ends the worker at once."""
    waited: list[tuple[float, bool]] = []

    class Lost(ForeignLayer):
        router = Router([])

        def receive_many(self, channels: Any, block: bool = False) -> Any:
            raise ConnectionError

    worker = Rounds(Lost(), signal_handlers=False)
    worker.termed = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module.time, "sleep", lambda seconds: waited.append((seconds, worker.in_job)))
        worker.run()
    assert waited == [(0.01, False)] * 2


# Signals


def test_handler_while_idle(caplog: pytest.LogCaptureFixture) -> None:
    """WK-06: it ends with status 0 at once."""
    caplog.set_level(logging.INFO, "routechan")
    worker = Worker(None)
    with pytest.raises(SystemExit) as caught:
        worker.sigterm_handler(signal.SIGTERM, None)
    assert caught.value.code == 0
    assert worker.termed
    assert "ending at once" in caplog.text


def test_handler_while_busy(caplog: pytest.LogCaptureFixture) -> None:
    """WK-06: it lets the running consumer finish."""
    caplog.set_level(logging.INFO, "routechan")
    worker = Worker(None)
    worker.in_job = True
    worker.sigterm_handler(signal.SIGTERM, None)
    assert worker.termed
    assert "waiting for the running consumer" in caplog.text


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signal handlers of the test run, afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_handlers_are_installed_on_request(handlers: None) -> None:
    """WK-04, WK-05: for SIGTERM and SIGINT, unless ``signal_handlers`` is False; only in the main thread."""
    before = signal.getsignal(signal.SIGTERM)
    work(made_layer([]), 0)
    assert signal.getsignal(signal.SIGTERM) is before
    worker = Rounds(made_layer([]))
    worker.termed = 0
    worker.run()
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == worker.sigterm_handler
    errors: list[BaseException] = []

    def run() -> None:
        try:
            Worker(None).install_signal_handler()
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def run_process(script: str) -> subprocess.Popen[str]:
    root = Path(routechan.__file__).parent.parent
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(script)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


SCRIPT = """
    import logging, sys, time
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    from routechan import route
    from routechan.layers import InMemoryChannelLayer
    from routechan.routing import Router
    from routechan.worker import Worker, WorkerGroup

    def consumer(message):
        print("begun", flush=True)
        time.sleep(0.3)
        print("done", flush=True)

    layer = InMemoryChannelLayer().sync
    layer.router = Router([route("a", consumer)])
    if BUSY:
        layer.send("a", {})
    else:
        receive = layer.receive_many

        def receive_many(channels, block):
            print("begun", flush=True)
            time.sleep(60)

        layer.receive_many = receive_many
    MAKE.run()
    print("returned", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("make", ["Worker(layer)", "WorkerGroup(layer, n_threads=1)"])
@pytest.mark.parametrize("busy", [True, False])
def test_signal_to_a_process(number: int, make: str, busy: bool) -> None:
    """WK-06, WK-36, OB-07: a running consumer finishes and ``run`` returns; a blocking receive is left at once."""
    process = run_process(SCRIPT.replace("MAKE", make).replace("BUSY", str(busy)))
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        for line in lines:
            if line == "begun\n":
                break
        process.send_signal(number)
        rest = list(lines)
        assert process.wait(DEADLINE) == 0, rest
    finally:
        process.kill()
        process.communicate()
    assert ("done\n" in rest, "returned\n" in rest) == (busy, busy)


# Groups


def test_group_has_so_many_workers() -> None:
    """WK-32: the calling thread and ``n_threads - 1`` others; below one, just the calling thread."""
    layer = made_layer([])
    assert isinstance(WorkerGroup(layer), Worker)
    assert len(WorkerGroup(layer, n_threads=3).sub_workers) == 2
    assert [len(WorkerGroup(layer, n_threads=count).sub_workers) for count in (1, 0, -1)] == [0, 0, 0]
    assert len(WorkerGroup(layer).sub_workers) == (os.cpu_count() or 1) - 1


def test_inner_workers_get_the_same_arguments() -> None:
    """WK-33: but for ``signal_handlers``; giving that by position is a ``TypeError``."""
    layer = made_layer([])
    group = WorkerGroup(layer, print, message_retries=3, only_channels=["a"], n_threads=2)
    (inner,) = group.sub_workers
    assert (inner.channel_layer, inner.callback, inner.message_retries) == (layer, print, 3)
    assert (group.signal_handlers, inner.signal_handlers) == (True, False)
    assert inner.only_channels == ["a"]
    with pytest.raises(TypeError, match="signal_handlers"):
        WorkerGroup(layer, None, 10, True, n_threads=2)


def test_group_ready() -> None:
    """WK-34: for the group, then for each inner worker."""
    told: list[Worker] = []
    group = WorkerGroup(made_layer([]), n_threads=3, ready_hook=told.append)
    group.ready()
    assert told == [group, *group.sub_workers]


def test_group_runs_in_all_threads() -> None:
    """WK-32, WK-35: as many consumers at once as threads; the inner ones are daemon threads."""
    layer = made_layer([])
    together = threading.Barrier(3)
    passed: list[threading.Thread] = []

    def consumer(message: Message) -> None:
        together.wait(DEADLINE)
        passed.append(threading.current_thread())

    layer.router.add_route(route("a", consumer))
    group = WorkerGroup(layer, signal_handlers=False, n_threads=3)
    with Running(group):
        for _ in range(3):
            layer.send("a", {})
        wait_until(lambda: len(passed) == 3)
    assert set(group.threads) < set(passed)
    assert len(set(passed)) == 3
    assert all(thread.daemon for thread in group.threads)
    for thread in group.threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_an_inner_worker_does_not_die(caplog: pytest.LogCaptureFixture) -> None:
    """WK-37: none needs to be replaced: what ended one in 1.x is logged."""
    layer = made_layer([route("a", raising(SystemExit("broken consumer")))])
    group = WorkerGroup(layer, signal_handlers=False, n_threads=2, finished=raising(RuntimeError("broken hook")))
    with Running(group):
        for _ in range(10):
            layer.send("a", {})
        wait_until(lambda: caplog.text.count("SystemExit: broken consumer") == 10)
        assert [thread.is_alive() for thread in group.threads] == [True]


@pytest.mark.parametrize("busy", [True, False])
def test_group_handler(busy: bool) -> None:
    """WK-36: all workers are told; it ends at once unless the main thread runs a consumer."""
    group = WorkerGroup(None, n_threads=3)
    group.in_job = busy
    if busy:
        group.sigterm_handler(signal.SIGTERM, None)
    else:
        with pytest.raises(SystemExit):
            group.sigterm_handler(signal.SIGTERM, None)
    assert [worker.termed for worker in (group, *group.sub_workers)] == [True] * 3
