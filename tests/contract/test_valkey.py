"""The Redis layer keeps the short part of the contract on Valkey too: everything else differs in no command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.redis_servers import ValkeyServer, shared

from . import test_capacity, test_groups, test_messages, test_subscribe
from .conftest import RedisBackend


class ValkeyBackend(RedisBackend):
    servers = ValkeyServer


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[ValkeyBackend]:
    """One server, which these tests share."""
    made = ValkeyBackend(request)
    yield made
    made.close()


def contract(module: Any) -> dict[str, Any]:
    """The tests of a part of the contract."""
    part = module.__name__.rpartition("_")[2]
    return {f"{name}_of_{part}": test for name, test in vars(module).items() if name.startswith("test_")}


for part in (test_messages, test_groups, test_capacity, test_subscribe):
    globals().update(contract(part))
taker = test_subscribe.taker


def test_it_is_no_redis(backend: ValkeyBackend, pytestconfig: pytest.Config) -> None:
    """a program that says so itself, and has the commands of Redis 7."""
    layer = backend.make()
    layer.sync.send("a", {})
    with layer.engine._driver._lock:
        assert layer.engine._driver._transport.is_newer("leases")
    server = shared(pytestconfig, ValkeyServer)
    assert server.client().info("server")["server_name"] == "valkey"
