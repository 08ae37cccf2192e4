"""What clients may have wait in a channel, in bytes, where no worker takes it in time."""

from __future__ import annotations

import pytest

from routechan.layers import InMemoryChannelLayer
from routechan.relay import turns as turns_module
from routechan.telemetry.counters import counters
from tests.waiting import until

from ..asgi.clients import close, logged
from ..relay.helpers import RECEIVE, SOCKET, serving, sockets, working


async def test_clients_that_send_large_messages(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One too many is closed with 1013, which is counted and logged; what others send, if small, still finds room."""
    monkeypatch.setattr(turns_module, "FULL_PATIENCE", 0.0)
    limited = counters.limited["channel_bytes"]
    layer = InMemoryChannelLayer(channel_bytes=400_000).sync
    async with working(layer, *SOCKET), serving(layer) as application, sockets(application, 5) as clients:
        for number, client in enumerate(clients[:3], 1):
            client.send("x" * 100_000)
            await until(lambda n=number: layer.channel_statistics(RECEIVE)["messages_pending"] == n)
        clients[3].send("x" * 100_000)
        assert await clients[3].event() == close(1013)
        clients[4].send("small")
        await until(lambda: layer.channel_statistics(RECEIVE)["messages_pending"] == 4)
        layer.flush()
    assert counters.limited["channel_bytes"] > limited
    assert "is full for a message of this size: what waits there would be more than 400000 bytes" in logged(caplog)[0]
