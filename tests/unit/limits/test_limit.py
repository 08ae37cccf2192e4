"""The decorator ``limit``: how often one client may have a consumer run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from routechan import Message, limit, route
from routechan.inspection import kind_of
from routechan.telemetry.counters import counters

from ..asgi.clients import Open, close, logged
from ..asgi.conftest import Serve
from ..asgi.conftest import serve as serve
from ..asgi.consumers import accept, echo
from ..helpers import KINDS, message, of_kind, run_here


def reply(message: Message) -> Any:
    yield {"text": message["text"]}


def limited_by(rate: str, **options: Any) -> Any:
    return [route("websocket.connect", accept), route("websocket.receive", limit(rate, **options)(echo))]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_refused_is_dropped(serve: Serve, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    """By default each socket has its own rate; the consumer's kind stays, and refusals are counted and logged once."""
    refused = counters.limited["limit"]
    consumer = of_kind(kind, reply)
    decorated = limit("2/h")(consumer)
    assert kind_of(decorated) is kind_of(consumer)
    assert decorated.__name__ == consumer.__name__
    routing = [
        route("websocket.connect", accept),
        route("websocket.receive", echo, text="^last$"),
        route("websocket.receive", decorated),
    ]
    application = await serve(routing)
    async with Open(application) as client, Open(application) as other:
        for text in ("a", "b"):
            client.send(text)
            assert await client.text() == text
        for text in ("c", "d", "last"):
            client.send(text)
        other.send("e")
        assert await client.text() == "last"
        assert await other.text() == "e"
        client.leave()
        other.leave()
    assert counters.limited["limit"] == refused + 2
    [line] = logged(caplog)
    assert line.endswith("for tests.unit.limits.test_limit.reply is refused: it has more than 2/h")


@pytest.mark.parametrize(
    ("refused", "events"),
    [({"text": "slow down"}, [{"type": "websocket.send", "text": "slow down"}]), ({"close": 4008}, [close(4008)])],
)
async def test_what_a_client_is_told(serve: Serve, refused: Any, events: list[Any]) -> None:
    """It may be sent something, or be closed."""
    async with Open(await serve(limited_by("1/h", refused=refused))) as client:
        client.send("a")
        assert await client.text() == "a"
        client.send("b")
        assert [await client.event() for _ in events] == events
        client.leave()


def runs(consumer: Any, *contents: dict[str, Any], users: Any = ()) -> int:
    """How many of these messages the consumer runs for."""
    seen: list[Message] = []
    decorated = consumer(seen.append)
    for number, content in enumerate(contents):
        received = message(content, "http.request")
        if users:
            received.user = users[number]  # type: ignore[attr-defined]
        decorated(received)
    return len(seen)


def test_by_address() -> None:
    """Whatever port and connection."""
    by_address = limit("2/h", by="address")
    same = [{"client": ["192.0.2.1", port], "reply_channel": str(port)} for port in range(5)]
    assert runs(by_address, *same) == 2
    assert runs(by_address, *same, {"client": ["192.0.2.2", 1]}) == 3
    assert runs(by_address, *({"client": [f"2001:db8::{number}", 1]} for number in range(1, 5))) == 2
    with pytest.raises(ValueError, match="a message on http.request has no client address"):
        runs(by_address, {"reply_channel": "a"})


def test_by_user() -> None:
    """A user over all sockets; a visitor who is not logged in by socket."""
    ann, bob = (SimpleNamespace(pk=pk, is_authenticated=True) for pk in (1, 2))
    nobody = SimpleNamespace(pk=None, is_authenticated=False)
    by_user = limit("1/h", by="user")
    contents = [{"reply_channel": name} for name in ("a", "b", "c", "c", "d", "d")]
    assert runs(by_user, *contents, users=[ann, ann, bob, ann, nobody, nobody]) == 3
    assert runs(by_user, *contents, users=[nobody] * 6) == 4


def test_by_a_function_and_on_methods() -> None:
    """The message may be the second argument."""
    by_room = limit("1/h", by=lambda message: message["room"])
    assert runs(by_room, {"room": 1}, {"room": 1}, {"room": 2}) == 2

    class Consumer:
        ran = 0

        @limit("1/h", by=lambda message: 0)
        def receive(self, message: Message) -> None:
            self.ran += 1

    consumer = Consumer()
    for _ in range(3):
        consumer.receive(message())
    assert consumer.ran == 1
    with pytest.raises(ValueError, match="is limited, and was called without a Message"):
        Consumer.receive(consumer, None)  # type: ignore[arg-type]


def test_what_is_no_limit() -> None:
    """Mistakes are told where the decorator stands."""
    with pytest.raises(ValueError, match="a rate is a text such as"):
        limit("often")
    with pytest.raises(ValueError, match="by is 'socket', 'address', 'user' or a function of the message, not 'ip'"):
        limit("1/s", by="ip")


def test_a_message_of_no_socket(caplog: pytest.LogCaptureFixture) -> None:
    """It is an error of the consumer, which says what to do."""
    run_here(limit("1/s")(lambda message: None), {})
    assert "a message on test is of no socket; give limit() another by=" in caplog.text
