"""How many sockets a process and a client address may have, and how fast they may be opened."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.asgi.addresses import Addresses
from routechan.limits.clients import address_of
from routechan.limits.rules import Rate
from routechan.telemetry.counters import counters

from ..asgi.clients import Client, Open, close, logged
from ..asgi.conftest import Serve
from ..asgi.conftest import serve as serve
from ..asgi.consumers import Log

ANSWERS: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}


async def status_of(client: Client) -> int:
    """The status that its handshake is refused with."""
    async with client:
        event = await client.event()
        client.leave(1006)
        if event == close(1000):
            return 403
        assert (await client.event())["body"] == b"Too many connections; try again later.\n"
        assert (b"retry-after", b"10") in event["headers"]
        return int(event["status"])


@pytest.mark.parametrize(
    ("limit", "value", "status"),
    [("server_sockets", 2, 503), ("address_sockets", 2, 429), ("handshake_rate", "2/h", 429)],
)
async def test_one_socket_too_many(
    serve: Serve, caplog: pytest.LogCaptureFixture, limit: str, value: Any, status: int
) -> None:
    """No consumer sees it; it is counted, and logged once however often it tries."""
    limited = counters.limited[limit]
    log = Log({"accept": True})
    application = await serve(log.routing(), **{limit: value})
    here: dict[str, Any] = {"client": ["192.0.2.1", 1000], **ANSWERS}
    async with Open(application, **here) as first, Open(application, **here) as second:
        for _ in range(3):
            assert await status_of(Client(application, **here)) == status
        assert await status_of(Client(application, client=["192.0.2.1", 1001])) == 403  # all that this server can say
        first.leave()
        second.leave()
    assert len(log.of("websocket.connect")) == 2
    assert counters.limited[limit] == limited + 4
    assert len(logged(caplog)) == 1


async def test_sockets_that_consumers_refuse(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """They are one line, whatever their paths."""
    caplog.set_level("INFO", "routechan")
    application = await serve(Log({"accept": False}).routing())
    for number in range(5):
        assert await status_of(Client(application, path=f"/{number}/")) == 403
    assert [line for line in caplog.messages if "refused" in line] == ["WebSocket '/0/' is refused by its consumer"]


async def test_other_addresses_and_closed_sockets(serve: Serve) -> None:
    """Each address has its own; a socket that is closed counts no more, nor does a server that knows no address."""
    application = await serve(Log({"accept": True}).routing(), address_sockets=1)
    for _ in range(3):
        async with (
            Open(application, client=["192.0.2.1", 1]),
            Open(application, client=["192.0.2.2", 1]),
            Open(application, client=None),
            Open(application),
        ):
            pass
    assert application._server.addresses._open == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (["192.0.2.1", 5], "192.0.2.1"),
        (["2001:db8:1:2:3::4", 5], "2001:db8:1:2::/64"),
        (["::ffff:192.0.2.1", 5], "192.0.2.1"),
        (["fe80::1%eth0", 5], "fe80::/64"),
        (["testclient", 5], "testclient"),
        (["", 0], None),
        (None, None),
    ],
)
def test_addresses(client: Any, address: str | None) -> None:
    """An IPv6 client has a whole network; names and Unix sockets are none."""
    assert address_of({"client": client}) == address


def test_handshakes_by_the_clock() -> None:
    """A burst, then the rate."""
    now = 0.0
    counted = Addresses(None, Rate(2, 1.0), lambda: now)
    assert [counted.refusal("a") is None for _ in range(3)] == [True, True, False]
    now += 0.5
    assert [counted.refusal("a") is None for _ in range(2)] == [True, False]
