"""The order of a connection's events, for messages that come over a layer."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.contrib.sessions.models import Session

from routechan import ChannelFull, ConsumeLater, DenyConnection, Message, route
from routechan.inspection import Kind
from routechan.layers import InMemoryChannelLayer
from routechan.routing import Router
from routechan.worker import Worker
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import (
    channel_session,
    enforce_ordering,
    ordering,
    requeue_messages,
    wait_channel_name,
)
from tests.harness import WebSocket
from tests.unit.django.helpers import Mistake, consumer_of, elsewhere, message, new_reply_channel, run, stored
from tests.unit.helpers import FullLayer, drain

NEXT = "__channels_next_order"


class Connection:
    """Messages of one connection over a layer, and what became of them."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.name = new_reply_channel()
        self.seen: list[int] = []

    def message(self, order: Any, channel: str = "websocket.receive", **more: Any) -> Message:
        return message({"order": order, **more}, channel, self.layer, reply_channel=self.name)

    def consumer(self, kind: Kind, act: Any = None) -> Any:
        def record(message: Any) -> Any:
            self.seen.append(message["order"])
            return (act and act(message)) or {}

        return enforce_ordering(consumer_of(kind, record))

    def waiting(self) -> list[Any]:
        return [content["order"] for content in drain(self.layer, wait_channel_name(self.name))]

    def due(self) -> Any:
        return stored(self.name).get(NEXT, 0)

    def run(self, consumer: Any, *orders: Any) -> None:
        """Run a consumer for messages with these orders."""
        for order in orders:
            run(consumer, self.message(order))

    def requeued(self, channel: str = "websocket.receive") -> list[Any]:
        """The orders of the messages that were sent back."""
        return [content["order"] for content in drain(self.layer, channel)]


@pytest.fixture
def connection(layer: ChannelLayerWrapper) -> Connection:
    return Connection(layer)


def test_wait_channel_name() -> None:
    """SE-13: the process-specific name becomes one that any process may read."""
    assert wait_channel_name("test-reply!b") == "__wait__.test-reply?b"


def test_requeue(connection: Connection) -> None:
    """SE-14: all that waits goes back to where it came from, without the note of that."""
    waiting = wait_channel_name(connection.name)
    connection.layer.send(waiting, {"a": 1, "original_channel": "websocket.receive"})
    connection.layer.send(waiting, {"b": 2, "original_channel": "websocket.disconnect"})
    requeue_messages(connection.message(0))
    assert drain(connection.layer, "websocket.receive") == [{"a": 1}]
    assert drain(connection.layer, "websocket.disconnect") == [{"b": 2}]
    assert connection.waiting() == []


def test_requeue_needs_a_connection() -> None:
    """SE-14: without a reply channel nothing can wait for the message."""
    with pytest.raises(ValueError, match="no reply channel, so no others wait for it"):
        requeue_messages(Message({}, "thumbnail", None))


def test_requeue_onto_a_full_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """SE-14, OB-08: what finds its channel full is delivered when there is room; in 1.x one message was lost."""
    monkeypatch.setattr(ordering, "FULL_DELAY", 0.02)
    layer = InMemoryChannelLayer(capacity=2).sync
    connection = Connection(layer)
    for number in range(2):
        layer.send(wait_channel_name(connection.name), {"n": number, "original_channel": "full"})
        layer.send("full", {})
    requeue_messages(connection.message(0))
    assert connection.waiting() == []
    assert drain(layer, "full") == [{}, {}]
    later = []
    while len(later) < 2:
        channel, content = layer.receive(["full"], block=True)
        assert channel == "full"
        later.append(content["n"])
    assert sorted(later) == [0, 1]


class OtherLayer(FullLayer):
    """A layer of somebody else whose channels are full, with one message that waits."""

    def __init__(self) -> None:
        super().__init__(1, FullLayer.ChannelFull)
        self.waiting = [{"n": 1, "original_channel": "full"}]

    def receive(self, channels: list[str], block: bool = False) -> Any:
        return (channels[0], self.waiting.pop()) if self.waiting else (None, None)

    def send(self, channel: str, content: dict[str, Any]) -> None:
        if channel.startswith("__wait__"):
            self.waiting.append(content)
        else:
            super().send(channel, content)


def test_requeue_on_a_layer_of_somebody_else() -> None:
    """SE-14, OB-08: one that knows no delay raises its ChannelFull, and the message goes on waiting."""
    layer = OtherLayer()
    with pytest.raises(OtherLayer.ChannelFull, match="'full' is full, so a message in its turn goes on waiting on"):
        requeue_messages(Connection(layer).message(0))
    assert layer.waiting == [{"n": 1, "original_channel": "full"}]


def test_slight() -> None:
    """SE-15: refused when decorating."""
    with pytest.raises(ValueError, match="use enforce_ordering without slight=True"):
        enforce_ordering(slight=True)
    assert callable(enforce_ordering(print, slight=False))
    with pytest.raises(ValueError, match="slight ordering was removed"):
        enforce_ordering(print, slight=True)


def test_applies_channel_session(connection: Connection, kind: Kind) -> None:
    """SE-16: the consumer has the channel session, and what it stores is saved along."""

    def act(message: Any) -> None:
        message.channel_session["a"] = 1

    run(connection.consumer(kind, act), connection.message(0))
    assert stored(connection.name)["a"] == 1


def test_no_order(kind: Kind) -> None:
    """SE-17: a message without ``order``."""
    with pytest.raises(
        ValueError, match="needs messages with an 'order', and one on 'thumbnail' has none; .*WSClient.ordered=True"
    ):
        run(enforce_ordering(consumer_of(kind, print)), message(channel="thumbnail"))


def test_orders_may_be_text(connection: Connection, kind: Kind) -> None:
    """SE-17, SE-18: strings are read as numbers; the first one due is 0."""
    run(connection.consumer(kind), connection.message("0"))
    assert connection.due() == 1


def test_in_order(connection: Connection, kind: Kind) -> None:
    """SE-19, SE-24: messages in order run, the count is kept, and nothing waits."""
    connection.run(connection.consumer(kind), 0, 1, 2)
    assert connection.seen == [0, 1, 2]
    assert connection.due() == 3
    assert connection.waiting() == []


def test_early(connection: Connection, kind: Kind) -> None:
    """SE-21, SE-24: after 0 comes 2, which waits with a note of its channel; its consumer is not run."""
    consumer = connection.consumer(kind)
    run(consumer, connection.message(0))
    run(consumer, connection.message(2, text="hello"))
    assert connection.seen == [0]
    assert drain(connection.layer, wait_channel_name(connection.name)) == [
        {"order": 2, "text": "hello", "reply_channel": connection.name, "original_channel": "websocket.receive"}
    ]


def test_what_waits_comes_in_its_turn(connection: Connection, kind: Kind) -> None:
    """SE-14, SE-19, SE-25: 2 and a disconnect wait until 1 has run, then they are back on their channels."""
    consumer = connection.consumer(kind)
    run(consumer, connection.message(0, "websocket.connect"))
    run(consumer, connection.message(3, "websocket.disconnect"))
    connection.run(consumer, 2, 1)
    assert connection.seen == [0, 1]
    (two,) = drain(connection.layer, "websocket.receive")
    (three,) = drain(connection.layer, "websocket.disconnect")
    assert (two["order"], three["order"]) == (2, 3)
    run(consumer, Message(two, "websocket.receive", connection.layer))
    run(consumer, Message(three, "websocket.disconnect", connection.layer))
    assert connection.seen == [0, 1, 2, 3]


def test_late(connection: Connection, kind: Kind) -> None:
    """SE-21, SE-23: an order that has been is not run again; it waits as well."""
    connection.run(connection.consumer(kind), 0, 0)
    assert connection.seen == [0]
    assert connection.waiting() == [0]


def test_full_wait_channel() -> None:
    """SE-21: a wait channel that is full is said to be."""
    layer = InMemoryChannelLayer(capacity=1).sync
    connection = Connection(layer)
    consumer = connection.consumer(Kind.PLAIN)
    consumer(connection.message(1))
    with pytest.raises(ChannelFull, match="__wait__") as raised:
        consumer(connection.message(2))
    assert "that came early on 'websocket.receive' is lost" in str(raised.value.args[0])


def test_its_turn_came_meanwhile(connection: Connection) -> None:
    """SE-22: another worker finished the one before while this one was put to wait: all that waits goes back."""
    consumer = connection.consumer(Kind.PLAIN)
    consumer(connection.message(0))
    early = connection.message(2)

    @channel_session
    def concurrently(message: Any) -> None:
        with mock.patch.object(message.channel_session, "load", return_value={NEXT: 2}):
            consumer(message)

    consumer(connection.message(3))
    concurrently(early)
    assert connection.seen == [0]
    assert connection.waiting() == []
    assert connection.requeued() == [3, 2]


@pytest.mark.parametrize("error", [Mistake, DenyConnection, SystemExit])
def test_a_consumer_that_raised_had_its_turn(connection: Connection, kind: Kind, error: Any) -> None:
    """SE-20, OB-12: its changes are saved and the connection goes on; in 1.x it stood still for good."""

    def act(message: Any) -> None:
        message.channel_session["a"] = 1
        raise error

    run(connection.consumer(kind), connection.message(1))
    with pytest.raises(error):
        run(connection.consumer(kind, act), connection.message(0))
    assert stored(connection.name)["a"] == 1
    assert connection.due() == 1
    assert connection.requeued() == [1]


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
def test_later_keeps_the_turn(connection: Connection, kind: Kind) -> None:
    """SE-20: who asks for another try has not had its turn, except on the last try, after which it is dropped."""

    def act(message: Any) -> None:
        raise ConsumeLater

    consumer = connection.consumer(kind, act)
    mine: Any = connection.message(0)
    with pytest.raises(ConsumeLater):
        run(consumer, mine)
    assert connection.due() == 0
    mine.__dict__["__doomed__"] = True
    del mine.channel_session
    with pytest.raises(ConsumeLater):
        run(consumer, mine)
    assert connection.due() == 1


@pytest.mark.parametrize("kind", [Kind.STREAM, Kind.ASYNC_STREAM], ids=lambda kind: kind.value)
def test_a_stream_has_its_turn_when_it_starts(connection: Connection, kind: Kind) -> None:
    """SE-19: later events run beside it, and their count is not undone by what the stream saves at its end."""

    def later(message: Any) -> None:
        message.channel_session["ticks"] = 1
        elsewhere(connection.consumer(Kind.PLAIN), connection.message(1))

    run(connection.consumer(kind, later), connection.message(0))
    assert connection.seen == [0, 1]
    assert connection.due() == 2
    assert stored(connection.name)["ticks"] == 1


def test_after_a_logout(connection: Connection) -> None:
    """SE-19: flush() empties the session, and the count goes on; in 1.x the connection stood still."""
    connection.run(connection.consumer(Kind.PLAIN, lambda message: message.channel_session.flush()), 0, 1, 2)
    assert connection.seen == [0, 1, 2]


def test_after_a_logout_elsewhere(connection: Connection) -> None:
    """SE-19: what ended meanwhile is not brought back, and the count goes on all the same."""

    def act(message: Any) -> None:
        Session.objects.filter(pk=message.channel_session.session_key).delete()
        message.channel_session["secret"] = 1

    connection.run(connection.consumer(Kind.PLAIN, act), 0, 1)
    assert connection.seen == [0, 1]
    assert stored(connection.name) == {NEXT: 2}


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_last_will_of_a_server(connection: Connection, kind: Kind, order: int) -> None:
    """SE-21, SE-25: a server that died left a disconnect whose order cannot be right; it is run."""
    consumer = connection.consumer(kind)
    connection.run(consumer, 0, 1)
    run(consumer, connection.message(order, "websocket.disconnect"))
    assert connection.seen == [0, 1, order]


def test_nested(connection: Connection, kind: Kind) -> None:
    """SE-16, SE-19: a consumer may be decorated twice, by a class and by its user say."""
    connection.run(enforce_ordering(connection.consumer(kind)), 0, 1)
    assert connection.seen == [0, 1]
    assert connection.due() == 2


@pytest.fixture
def work(layer: ChannelLayerWrapper) -> Any:
    """Works off what is on the layer, as ``runworker`` does, until ``done``, one message after another."""

    def work(consumer: Any, done: Any) -> None:
        layer.router = Router([route(f"websocket.{event}", consumer) for event in ("connect", "receive", "disconnect")])

        class Once(Worker):
            left = 20

            @property
            def termed(self) -> bool:
                self.left -= 1
                return self.left < 0 or done()

            @termed.setter
            def termed(self, value: bool) -> None: ...

        Once(layer, signal_handlers=False).run()

    return work


@pytest.mark.parametrize("orders", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_with_a_worker(connection: Connection, work: Any, kind: Kind, orders: list[int]) -> None:
    """SE-21 to SE-25: whatever order messages come in over a layer, a worker runs them in theirs."""
    for order in orders:
        connection.layer.send("websocket.receive", {"order": order, "reply_channel": connection.name})
    work(connection.consumer(kind), lambda: len(connection.seen) == 4)
    assert connection.seen == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.ASYNC], ids=lambda kind: kind.value)
async def test_served(layer: ChannelLayerWrapper, kind: Kind) -> None:
    """SE-25: on a socket all events are in order, whether consumers raise or not."""
    seen: list[int] = []

    def act(message: Any) -> None:
        seen.append(message["order"])
        message.reply_channel.send({"text": "hello"})
        if message["order"] == 2:
            raise Mistake

    consumer = enforce_ordering(consumer_of(kind, act))
    layer.router = Router([route(f"websocket.{event}", consumer) for event in ("connect", "receive", "disconnect")])
    async with WebSocket(build_application(layer)) as socket:
        await socket.accepted()
        await socket.text()
        for _ in range(3):
            socket.send("a")
            await socket.text()
    assert seen == [0, 1, 2, 3, 4]
