"""``Worker``: takes messages off a layer and runs their consumers, one at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Channel, Message, route
from routechan.routing import Router
from routechan.worker import Worker
from routechan.worker import classic as classic_module
from tests.waiting import wait_until

from ...helpers import ForeignLayer, drain, of_kind
from .running import Rounds, Running, holding, ignore, layer_with, work


def test_attributes() -> None:
    """WK-01: the arguments, in the order of 1.x, are attributes; ``termed`` and ``in_job`` are False."""
    layer = layer_with([])
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
    layer = holding(lambda message: seen.append(message["n"]), *({"n": number} for number in range(3)))
    work(layer, 2)
    assert seen == [0, 1]
    assert drain(layer, "a") == [{"n": 2}]


@pytest.mark.parametrize(
    ("only", "exclude", "kept"),
    [
        (["yes.*", "maybe.*"], None, ["yes.1", "maybe.2"]),
        (None, ["no.*", "maybe.*"], ["yes.1", "yes"]),
        (["yes.*"], ["no.*"], ["yes.1"]),
        (["YES.*"], None, []),
        ([], [], ["yes.1", "no.1", "maybe.2", "yes"]),
    ],
)
def test_channel_filters(only: list[str] | None, exclude: list[str] | None, kept: list[str]) -> None:
    """WK-02: globs, kept then removed, in order."""
    worker = Worker(None, only_channels=only, exclude_channels=exclude)
    assert worker.apply_channel_filters(["yes.1", "no.1", "maybe.2", "yes"]) == kept


def test_no_channel_filters() -> None:
    """WK-02: without filters what was given comes back."""
    given = {"a", "b"}
    assert Worker(None, only_channels=[]).apply_channel_filters(given) is given


def test_filters_decide_what_is_taken() -> None:
    """WK-02, RT-35: what is filtered out waits in its channel, as does what no route names."""
    layer = layer_with([route("yes.a", ignore), route("yes.b", ignore), route("no", ignore)])
    for name in ("yes.a", "yes.b", "no", "elsewhere"):
        layer.send(name, {})
    work(layer, 4, only_channels=["yes.*"], exclude_channels=["*.b"])
    assert [bool(drain(layer, name)) for name in ("yes.a", "yes.b", "no", "elsewhere")] == [False, True, True, True]


def test_ready() -> None:
    """WK-03: the hook gets the worker; ``run`` does not call it."""
    told: list[Worker] = []
    worker = Rounds(layer_with([]), signal_handlers=False, ready_hook=told.append)
    worker.termed = 1
    worker.run()
    assert told == []
    worker.ready()
    assert told == [worker]
    Worker(None).ready()


def test_channels_are_listed_once(caplog: pytest.LogCaptureFixture) -> None:
    """WK-04: logged sorted at INFO; a route added later is not listened to."""
    caplog.set_level(logging.INFO, "routechan")
    layer = layer_with([route(["b", "a"], ignore)])

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
        patch.setattr(classic_module.time, "sleep", slept.append)
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
        patch.setattr(classic_module.time, "sleep", lambda seconds: seen.append(("sleep", worker.in_job)))
        worker.run()
    assert seen == [("receive", False), ("consumer", True), ("receive", False), ("sleep", True)]


def test_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    """WK-09: one line for each message, with its reply channel, and one for each dispatch, with the consumer."""
    caplog.set_level(logging.DEBUG, "routechan")
    layer = holding(ignore, {"reply_channel": "reply"})
    work(layer, 1)
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert texts == ["Got a message on a (reply channel reply)", f"Dispatching {ignore.__module__}.ignore on a"]


def test_normal_run() -> None:
    """WK-14: the consumer runs once with the received dict, and nothing is sent."""
    seen: list[Message] = []
    layer = layer_with([route("a", lambda message, room: seen.append(message), path="^/(?P<room>.+)$")])
    layer.send("a", {"path": "/den"})
    layer.send = sent = lambda *args: pytest.fail("nothing is to be sent")
    work(layer, 2)
    assert [message.content for message in seen] == [{"path": "/den"}]
    assert (seen[0].channel_name, seen[0].channel_layer) == ("a", layer)
    assert layer.send is sent


def test_no_route(caplog: pytest.LogCaptureFixture) -> None:
    """WK-11: an error with the channel's name; neither callback nor hooks hear of it, the next message is taken."""
    told: list[Any] = []
    layer = holding(lambda message: told.append("ran"), {"path": "/y"}, {"path": "/x"}, filters={"path": "^/x$"})
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
    layer = layer_with([])

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


@pytest.mark.parametrize("kind", ["async", "stream", "async stream"])
@pytest.mark.parametrize("decorated", ["", "decorated "], ids=["", "decorated"])
def test_every_kind_of_consumer(kind: str, decorated: str) -> None:
    """WK-14: async functions and generators run to their end, also behind a decorator for plain functions."""
    consumer = of_kind(decorated + kind, lambda message: [{"n": 1}, {"n": 2}])
    layer = holding(consumer, *[{"reply_channel": "reply"}] * 2)
    told: list[str] = []
    work(layer, 2, started=lambda: told.append("started"), finished=lambda: told.append("finished"))
    assert drain(layer, "reply") == [{"n": 1}, {"n": 2}] * 2
    assert told == ["started", "finished"] * 2


def test_a_stream_is_delivered_step_by_step() -> None:
    """Each dict is on its way while the generator still runs."""
    layer = layer_with([])
    seen: list[Any] = []

    def consumer(message: Message) -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        seen.extend(drain(layer, "reply"))

    layer.router.add_route(route("a", consumer))
    layer.send("a", {"reply_channel": "reply"})
    work(layer, 1)
    assert seen == [{"n": 1}]


@pytest.mark.parametrize("kind", ["stream", "async stream"])
def test_an_endless_stream_ends_with_the_worker(kind: str) -> None:
    """WK-26: a stream is closed at its next step once the worker is to end."""
    closed = threading.Event()

    def endless(message: Message) -> Iterator[dict[str, Any]]:
        try:
            while True:
                yield {}
        finally:
            closed.set()

    layer = holding(of_kind(kind, endless), {"reply_channel": "reply"}, capacity=10**6)
    with Running(Worker(layer, signal_handlers=False)):
        wait_until(lambda: layer.channel_statistics("reply")["messages_pending"] > 2)
    assert closed.is_set()


def test_a_task_outlives_its_async_consumer() -> None:
    """The loop of the worker goes on between messages, and ends with the worker."""
    layer = layer_with([])
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
        consumer.task = asyncio.create_task(rest("reply"))

    layer.router.add_route(route("a", consumer))
    layer.send("a", {})
    with Running(Worker(layer, signal_handlers=False)):
        wait_until(lambda: drain(layer, "reply") == [{"late": True}])
    assert cancelled == [True]
