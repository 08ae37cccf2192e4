"""``send(..., on_commit=True)``: when the transaction around it is committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from routechan import Channel, ChannelFull, Group
from routechan.layers import SyncChannelLayer
from routechan.sending import transactions
from tests.unit.helpers import Clock, FullLayer, drain, run_here, run_on_loop


class Database:
    """Transactions that the test begins and ends. Lifetime: test."""

    def __init__(self) -> None:
        self.open = True
        self.default = False
        self.waiting: list[Callable[[], object]] = []

    def wait_by_default(self) -> bool:
        return self.default

    def after_commit(self, call: Callable[[], object]) -> bool:
        if self.open:
            self.waiting.append(call)
        return self.open

    async def aafter_commit(self, call: Callable[[], object]) -> bool:
        return self.after_commit(call)

    def commit(self) -> None:
        self.open = False
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database()
    before = transactions._known
    transactions.configure(made)
    yield made
    transactions.configure(before)


@pytest.mark.parametrize("target", [Channel, Group])
def test_outside_of_consumers(default_layer: SyncChannelLayer, database: Database, target: type[Any]) -> None:
    """Nothing is sent before the commit, nor if there is none; without a transaction it is sent at once."""
    default_layer.group_add("a", "a")
    target("a").send({"n": 1}, on_commit=True)
    target("a").send({"n": 2}, on_commit=False)
    target("a").send({"n": 3})
    assert drain(default_layer, "a") == [{"n": 2}, {"n": 3}]
    database.commit()
    assert drain(default_layer, "a") == [{"n": 1}]
    target("a").send({"n": 4}, on_commit=True)
    assert drain(default_layer, "a") == [{"n": 4}]


@pytest.mark.parametrize("target", [Channel, Group])
async def test_async_twin(default_layer: SyncChannelLayer, database: Database, target: type[Any]) -> None:
    """``asend``, and a plain ``send`` on the event loop."""
    default_layer.group_add("a", "a")
    await target("a").asend({"n": 1}, on_commit=True)
    target("a").send({"n": 2}, on_commit=True)
    assert drain(default_layer, "a") == []
    database.commit()
    assert drain(default_layer, "a") == [{"n": 1}, {"n": 2}]
    await target("a").asend({"n": 3}, on_commit=True)
    target("a").send({"n": 4}, on_commit=True)
    assert drain(default_layer, "a") == [{"n": 3}, {"n": 4}]


def test_with_the_other_arguments(default_layer: SyncChannelLayer, database: Database) -> None:
    """The delay counts from the commit; who is left out, is."""
    for name in "ab":
        default_layer.group_add("group", name)
    Group("group").send({"n": 1}, exclude="a", on_commit=True)
    Channel("a").send({"n": 2}, delay=366 * 86400, on_commit=True)
    database.commit()
    assert (drain(default_layer, "a"), drain(default_layer, "b")) == ([], [{"n": 1}])


@pytest.mark.parametrize("run", [run_here, lambda consumer: asyncio.run(run_on_loop(consumer))], ids=["thread", "loop"])
def test_in_a_consumer(default_layer: SyncChannelLayer, database: Database, run: Any) -> None:
    """After a commit within the consumer it takes its place in the outbox, else it is sent at the commit."""

    def consumer(message: Any) -> None:
        Channel("a").send({"n": 1}, on_commit=True)
        Channel("a").send({"n": 2})
        Channel("a").send({"n": 3}, True, on_commit=True)
        database.commit()
        Channel("a").send({"n": 4}, on_commit=True)
        database.open = True
        Channel("a").send({"n": 5}, on_commit=True)

    run(consumer)
    assert drain(default_layer, "a") == [{"n": 3}, {"n": 2}, {"n": 1}, {"n": 4}]
    database.commit()
    assert drain(default_layer, "a") == [{"n": 5}]


def test_by_default(default_layer: SyncChannelLayer, database: Database) -> None:
    """Sends outside of consumers that do not say; neither those in consumers nor immediate ones."""
    database.default = True

    def consumer(message: Any) -> None:
        Channel("a").send({"n": 1})

    Channel("a").send({"n": 2})
    Channel("a").send({"n": 3}, on_commit=False)
    Channel("a").send({"n": 4}, immediately=True)
    asyncio.run(Channel("a").asend({"n": 5}))
    run_here(consumer)
    assert drain(default_layer, "a") == [{"n": 3}, {"n": 4}, {"n": 1}]
    database.commit()
    assert drain(default_layer, "a") == [{"n": 2}, {"n": 5}]


def test_errors_after_the_commit(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full channel is tried again; what fails for good is logged with its line, and the next one is sent."""
    monkeypatch.setattr("routechan.outbox.time", Clock())
    layer = FullLayer(2)
    broken = FullLayer(10**6, error=RuntimeError)
    Channel("a", channel_layer=broken).send({"n": 1}, on_commit=True)
    Channel("a", channel_layer=layer).send({"n": 2}, on_commit=True)
    with caplog.at_level(logging.ERROR, "routechan"):
        database.commit()
    assert layer.calls == [("send", "a", {"n": 2})]
    (text,) = caplog.messages
    assert text.startswith(
        "after a commit: a message to a could not be delivered and is lost: a; it was {'n': 1}, sent"
    )
    assert "test_transactions.py:" in text


def test_errors_without_a_transaction(database: Database) -> None:
    """They are those of an ordinary send."""
    database.open = False
    with pytest.raises(ChannelFull):
        Channel("a", channel_layer=FullLayer(1)).send({"n": 1}, on_commit=True)


def test_without_a_database(default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody said what a transaction is: nothing is sent, and the text says who would know."""
    monkeypatch.setattr(transactions, "_known", None)
    with pytest.raises(RuntimeError, match="no database is known whose transactions that means: those of Django are"):
        Channel("a").send({"n": 1}, on_commit=True)
    Channel("a").send({"n": 2})
    assert drain(default_layer, "a") == [{"n": 2}]
