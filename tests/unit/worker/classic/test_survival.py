"""What ended a worker of 1.x costs one message: it is logged, and the next message is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routechan import Channel, DenyConnection, Message, WebsocketCloseException, route
from routechan.layers.base import Delivery
from routechan.relay.protocol import TAG
from routechan.routing import Router
from routechan.worker import Worker
from routechan.worker import classic as classic_module
from tests.waiting import wait_until

from ...helpers import ForeignLayer, drain, of_kind
from .running import Rounds, Running, holding, ignore, layer_with, raising, work


def goes_on(layer: Any, caplog: pytest.LogCaptureFixture, text: str, **options: Any) -> None:
    """After whatever waits in ``a``, a message on ``next`` is still run, and ``text`` is in the log."""
    ran: list[bool] = []
    layer.router.add_route(route("next", lambda message: ran.append(True)))
    worker = Worker(layer, signal_handlers=False, **options)
    with Running(worker):
        wait_until(lambda: text in caplog.text, f"{text!r} in the log")
        layer.send("next", {})
        wait_until(lambda: ran)


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
    goes_on(holding(consumer, {}), caplog, text)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SystemExit("broken"), "Error in consumer"),
        (KeyboardInterrupt("broken"), "Error in consumer"),
        (asyncio.CancelledError("broken"), "on a"),
    ],
    ids=["exit", "interrupt", "cancelled"],
)
def test_no_async_consumer_ends_a_worker(error: BaseException, text: str, caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: nor do the exceptions that end an event loop; async consumers still run after them."""
    ran: list[bool] = []
    layer = holding(of_kind("async", raising(error)), {})
    layer.router.add_route(route("b", of_kind("async", lambda message: ran.append(True))))
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

    layer = holding(consumer, {})
    goes_on(layer, caplog, "broken hook", **{hook: raising(RuntimeError("broken hook"), times=1)})
    assert ran == ([] if hook == "started" else [True])


def test_no_full_channel_ends_a_worker(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """WK-27, OB-01: a full target at flush time costs its message, logged; the rest is delivered."""
    monkeypatch.setattr("routechan.outbox.FULL_RETRY_TIME", 0)

    def consumer(message: Message) -> None:
        for name in ("full", "out"):
            Channel(name, channel_layer=layer).send({})

    layer = holding(consumer, {}, channel_capacity={"full": 1})
    layer.send("full", {})
    goes_on(layer, caplog, "a message to full could not be delivered")
    assert drain(layer, "out") == [{}]


@pytest.mark.parametrize("value", [None, 7, "caf\xe9".encode()])
def test_no_content_ends_a_worker(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    """WK-28, OB-04: a filter on a value that is no text does not match."""
    layer = holding(ignore, {"path": value}, filters={"path": "^/x$"})
    goes_on(layer, caplog, "No route takes a message on a")


def test_no_bad_message_ends_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28: whatever a layer hands over, such as content that is no dict."""
    layer = layer_with([route("a", ignore)])
    receive, bad = layer.receive_delivery, [Delivery("a", content, {}) for content in (["no", "dict"], None)]
    layer.receive_delivery = lambda channels, block=False: bad.pop() if bad else receive(channels, block)
    goes_on(layer, caplog, "Handling a message on a failed; it is dropped: ['no', 'dict']")


def test_no_lost_layer_ends_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """WK-28, OB-34: an error of the layer is logged, and the worker tries again."""
    layer = layer_with([])
    receive, errors = layer.receive_delivery, [ConnectionError("lost broker"), ConnectionError("lost broker")]

    def receive_delivery(channels: Any, block: bool = False) -> Any:
        if errors:
            raise errors.pop()
        return receive(channels, block)

    layer.receive_delivery = receive_delivery
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
        patch.setattr(classic_module.time, "sleep", lambda seconds: waited.append((seconds, worker.in_job)))
        worker.run()
    assert waited == [(0.01, False)] * 2


def test_no_interrupt_in_a_task_ends_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    """WK-20: a task that a consumer left behind may stop the loop of async consumers; it goes on."""
    ran: list[int] = []

    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def consumer(message: Message) -> None:
        ran.append(message["n"])
        if message["n"] == 0:
            tasks.append(asyncio.get_running_loop().create_task(interrupt()))

    tasks: list[asyncio.Task[None]] = []
    with Running(Worker(holding(consumer, *({"n": number} for number in range(3))), signal_handlers=False)):
        wait_until(lambda: ran == [0, 1, 2])
        wait_until(lambda: "A task ended the event loop of its worker; the loop goes on" in caplog.text)


def test_no_ack_that_is_lost_ends_a_worker(caplog: pytest.LogCaptureFixture) -> None:
    """OB-34: the server finds out by itself, a little later."""
    layer = layer_with([route("a", ignore)])
    layer.send("a", {}, headers={TAG: ["no such channel", 1, layer.layer.now() + 60]})
    goes_on(layer, caplog, "A server could not be told of an event's end")
