"""How many groups a socket may be in that another process makes a member, as workers do."""

from __future__ import annotations

import pytest

from routechan.exceptions import TooManyGroups
from routechan.layers import RedisChannelLayer
from routechan.telemetry.counters import counters
from tests.redis_servers import SingleServer
from tests.waiting import wait_until

from .tools import Make


def socket_of(server: RedisChannelLayer) -> str:
    """The reply channel of a socket that ``server`` holds."""
    queue = f"websocket.send.abcdef.{server.process}!"
    server.attach(queue, lambda channels, content: None)
    wait_until(lambda: server.engine.call(server.engine.leases.is_owned(queue)), "others see who reads it")
    return f"{queue}a"


def join_in_vain(worker: RedisChannelLayer, group: str, name: str) -> bool:
    """Whether ``worker`` is told that ``name`` may join no more groups."""
    try:
        worker.sync.group_add(group, name)
    except TooManyGroups:
        return True
    return False


def test_one_group_too_many(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Its server keeps to the number whatever workers do; these are told as soon as it has said so."""
    limited = counters.limited["max_groups"]
    server, worker, other = (make(max_groups=3) for _ in range(3))
    name = socket_of(server)
    for group in ("a", "b", "c"):
        worker.sync.group_add(group, name)
    wait_until(lambda: join_in_vain(worker, "d", name), "the worker is told")
    with pytest.raises(TooManyGroups, match="is a member of 3 groups, .* was to join 'e' too"):
        other.sync.group_add("e", name)
    for group in ("d", "e"):
        wait_until(lambda group=group: worker.sync.group_channels(group) == [], f"it is no member of {group}")
    worker.sync.group_add("a", name)
    worker.sync.group_discard("b", name)
    worker.sync.group_add("d", name)
    server.sync.group_channels("d")
    for group in ("a", "c", "d"):
        wait_until(lambda group=group: server.sync.group_channels(group) == [name], f"it is a member of {group}")
    assert counters.limited["max_groups"] > limited
    assert [record.getMessage() for record in caplog.records if "max_groups" in record.getMessage()] == [
        f"'{name}' is a member of 3 groups, as many as one channel may be, and was to join 'd' too; have it leave "
        "groups it does not need, or raise the option max_groups of the layer"
    ]


@pytest.mark.parametrize("leave", ["discard", "forget"])
def test_nothing_is_left_of_it(make: Make, single: SingleServer, prefix: str, leave: str) -> None:
    """What tells workers is gone when the socket leaves a group in its own process, or closes."""
    server, worker = make(max_groups=1), make(max_groups=1)
    name = socket_of(server)
    worker.sync.group_add("a", name)
    wait_until(lambda: join_in_vain(worker, "b", name), "the worker is told")
    assert single.client().zrange(f"{prefix}:full:{{{server.process}}}", 0, -1) == [name.encode()]
    if leave == "discard":
        server.sync.group_discard("a", name)
    else:
        server.forget(name)
    wait_until(lambda: not single.client().exists(f"{prefix}:full:{{{server.process}}}"), "nothing is left")
    if leave == "discard":
        worker.sync.group_add("b", name)
