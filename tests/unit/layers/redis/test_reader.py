"""A reader waits for what it is asked for, hands it on in order, and is never at a loss for long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, ResponseError

from routechan.layers.redis.commands.script import Operation
from routechan.layers.redis.connection import Reconnections, RedisClock
from routechan.layers.redis.reader import BLOCK, Reader, ReaderTools
from routechan.layers.redis.schema import Keys
from tests.waiting import wait_until

from .bench import Bench as Operations
from .fakes import SOON, FakeNode, FakeTopology

WAKE_UP = "rc:wake:{h}:ME:1"


def make_tools(topology: FakeTopology, driver: Any, reconnections: Reconnections) -> ReaderTools:
    """What a reader is made with; of operations it needs only the one that wakes it."""
    messages = Operations().messages
    keys: Any = type("Keys", (), {"queue": staticmethod(lambda queue: f"key:{queue}"), "wake_up": Keys("rc").wake_up})
    return ReaderTools("ME", topology, driver, messages, keys, RedisClock(), reconnections, 15.0)


class Bench:
    """A reader of a server whose replies the test gives with ``reply``. Lifetime: test."""

    def __init__(self, batch: int = 1) -> None:
        self.node = FakeNode()
        self.topology = FakeTopology(self.node)
        self.replies: SimpleQueue[Any] = SimpleQueue()
        self.node.answer = self._answer
        self.batch = batch
        self.unwanted: set[str] = set()
        self.came: list[tuple[str, list[bytes]]] = []
        self.wake_ups = 0
        self.ended = threading.Event()
        self.reconnections = Reconnections()
        tools = make_tools(self.topology, self, self.reconnections)
        self.reader = Reader(tools, "1", "h", self._slots, self._arrived)

    def _slots(self, queue: str) -> int:
        return 0 if queue in self.unwanted else self.batch

    def _answer(self, command: tuple[Any, ...]) -> Any:
        while not self.ended.is_set():
            try:
                return self.replies.get(timeout=0.05)
            except Empty:
                continue
        return None

    def start(self, operation: Operation[Any]) -> None:
        """What the driver does with an operation, of which the reader has one."""
        step = next(operation.script())
        assert step.calls[0] == ("h", ("RPUSH", WAKE_UP, b""))
        self.wake_ups += 1
        self.replies.put([WAKE_UP.encode(), [b""]])

    def _arrived(self, queue: str, messages: list[bytes]) -> None:
        self.came.append((queue, messages))
        if b"bad" in messages:
            raise LookupError("handling it failed")

    def asks_for(self, *queues: str) -> None:
        """Wait until the reader waits for these queues."""
        wait_until(
            lambda: self.node.commands and {*self.node.commands[-1]} >= {f"key:{queue}" for queue in queues},
            f"it waits for {queues}, not {self.node.commands[-1:]}",
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.ended.set()
    made.reader.stop()
    made.reader.join(SOON)


def test_one_command_waits_for_all_queues(bench: Bench) -> None:
    """R6 (C5, A6): its own key is first, so that no crowd of messages keeps the reader from hearing it."""
    bench.reader.want("a")
    bench.asks_for("a")
    bench.reader.want("b")
    bench.asks_for("a", "b")
    command = bench.node.commands[-1]
    assert command[0] == "BLMPOP"
    assert command[2:4] == (3, WAKE_UP)
    assert command[-3:] == ("LEFT", "COUNT", 1)
    assert bench.wake_ups == 1  # for the second; the first found nobody waiting
    assert bench.reconnections.count == bench.node.connects == 1


def test_what_comes_is_handed_on(bench: Bench) -> None:
    """R7: with the name of its queue."""
    bench.reader.want("a")
    bench.replies.put([b"key:a", [b"1"]])
    bench.replies.put([b"key:a", [b"2"]])
    wait_until(lambda: len(bench.came) == 2, "both came")
    assert bench.came == [("a", [b"1"]), ("a", [b"2"])]


def test_an_older_server_is_asked_in_another_way(bench: Bench) -> None:
    """R6: Redis 6.2 knows no BLMPOP."""
    bench.node.newer = False
    bench.reader.want("a")
    bench.replies.put([b"key:a", b"1"])
    wait_until(lambda: bench.came, "it came")
    assert bench.came == [("a", [b"1"])]
    assert bench.node.commands[0][:3] == ("BLPOP", WAKE_UP, "key:a")


def test_a_mailbox_is_emptied_in_batches_on_an_older_server_too() -> None:
    """R1: what waits behind the first is taken along."""
    bench = Bench(batch=500)
    bench.node.newer = False
    bench.reader.want("a")
    bench.replies.put([b"key:a", b"1"])
    bench.replies.put([b"2", b"3"])
    wait_until(lambda: bench.came, "they came")
    assert bench.came == [("a", [b"1", b"2", b"3"])]
    assert bench.node.commands[1] == ("LPOP", "key:a", 499)
    bench.ended.set()
    bench.reader.stop()
    bench.reader.join(SOON)


def test_an_older_server_that_is_lost_behind_the_first_message() -> None:
    """R7: the first has left the queue, so it is handed on; the reader connects again."""
    bench = Bench(batch=500)
    bench.node.newer = False
    bench.reader.want("a")
    bench.replies.put([b"key:a", b"1"])
    bench.replies.put(RedisConnectionError("gone"))
    bench.replies.put([b"key:a", b"2"])
    bench.replies.put(None)
    wait_until(lambda: len(bench.came) == 2, "both came")
    assert bench.came == [("a", [b"1"]), ("a", [b"2"])]
    assert bench.node.connects == 2
    bench.ended.set()
    bench.reader.stop()
    bench.reader.join(SOON)


def test_the_wait_is_shorter_than_the_timeout_of_the_connection() -> None:
    """R6 (C4): a short ``socket_timeout`` is no trouble, a long one does not keep the reader from looking up."""
    for timeout, longest in ((0.5, 0.25), (3.0, 1.5), (60.0, BLOCK)):
        topology = FakeTopology()
        topology.socket_timeout = timeout
        reader = Reader(make_tools(topology, None, Reconnections()), "1", "h", len, print)
        assert reader._block == longest


def test_nobody_waits_any_longer(bench: Bench) -> None:
    """R7: the messages are left to other processes; a later wait is answered again."""
    bench.reader.want("a")
    bench.reader.want("b")
    bench.asks_for("a", "b")
    bench.unwanted.add("a")
    bench.reader.given_up("a")
    wait_until(lambda: "key:a" not in bench.node.commands[-1], "it waits for one queue only")
    assert not bench.reader.waits_for("a")
    assert bench.reader.waits_for("b")
    bench.unwanted.clear()
    bench.reader.want("a")
    bench.asks_for("a", "b")


def test_giving_up_what_others_here_wait_for_changes_nothing(bench: Bench) -> None:
    """R7: another reader of the same queue still waits."""
    bench.reader.want("a")
    bench.asks_for("a")
    bench.reader.given_up("a")
    bench.reader.given_up("never")
    assert bench.wake_ups == 0
    assert bench.reader.waits_for("a")


def test_with_nothing_to_wait_for_it_rests(bench: Bench) -> None:
    """style: no command is sent in vain, and its connection stays."""
    bench.reader.want("a")
    bench.asks_for("a")
    bench.unwanted.add("a")
    bench.reader.given_up("a")
    wait_until(lambda: not bench.reader.waits_for("a"), "it let go of it")
    asked = len(bench.node.commands)
    bench.unwanted.clear()
    bench.reader.want("a")
    wait_until(lambda: len(bench.node.commands) > asked, "it waits again")
    assert len(bench.node.commands) == asked + 1
    assert bench.node.connects == 1


def test_no_queue_starves_another(bench: Bench) -> None:
    """section 2.3: which is first in the command changes each time, because Redis serves the first that has one."""
    for queue in ("a", "b", "c"):
        bench.reader.want(queue)
    bench.asks_for("a", "b", "c")
    first = len(bench.node.commands) - 1
    for _ in range(3):
        bench.replies.put(None)
    wait_until(lambda: len(bench.node.commands) >= first + 4, "it asked three times more")
    assert {command[4] for command in bench.node.commands[first : first + 3]} == {"key:a", "key:b", "key:c"}


@pytest.mark.parametrize("error", [RedisConnectionError("gone"), ResponseError("WRONGTYPE"), MovedError("1 h:1")])
def test_it_goes_on_after_trouble(bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """R6 (A15, C19): on a new connection, without surfacing; somebody waits for it."""
    caplog.set_level(logging.CRITICAL, "routechan")
    bench.reader.want("a")
    bench.replies.put(error)
    bench.replies.put([b"key:a", [b"1"]])
    wait_until(lambda: bench.came, "it came after all")
    assert bench.node.connects == bench.reconnections.count == 2
    assert bench.node.connections[0].closed
    assert [type(moved) for moved in bench.topology.moved] == [MovedError] * isinstance(error, MovedError)


def test_a_server_that_is_away_is_tried_until_it_is_back(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R6: with a back-off, so that it is not flooded; neither is the log."""
    caplog.set_level(logging.INFO, "routechan")
    bench.node.refused = RedisConnectionError("away")
    bench.reader.want("a")
    wait_until(lambda: bench.node.connects >= 3, "it tried again")
    bench.node.refused = None
    bench.replies.put([b"key:a", [b"1"]])
    wait_until(lambda: bench.came, "it came after all")
    assert [record.message for record in caplog.records if "away" in record.message] == [
        "Waiting for messages was interrupted, and goes on: away"
    ]


def test_one_message_that_cannot_be_handled_costs_only_itself(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R12 (C20): it is logged, and the next one is handed on, over the same connection."""
    bench.reader.want("a")
    bench.replies.put([b"key:a", [b"bad"]])
    bench.replies.put([b"key:a", [b"good"]])
    wait_until(lambda: len(bench.came) == 2, "the second came")
    assert "Handling messages of a failed" in caplog.text
    assert bench.node.connects == 1


def test_it_ends_when_it_is_told(bench: Bench) -> None:
    """``stop`` and ``join``: in the midst of a wait too; then it takes nothing more on."""
    bench.reader.want("a")
    bench.asks_for("a")
    bench.reader.stop()
    bench.reader.join(SOON)
    thread = bench.reader._thread
    assert thread is not None
    assert not thread.is_alive()
    assert bench.node.connections[-1].closed
    bench.reader.want("b")
    assert not bench.reader.waits_for("b")


def test_one_that_never_waited_ends_too(bench: Bench) -> None:
    """``stop`` and ``join``: without a thread there is nothing to wait for."""
    bench.reader.stop()
    bench.reader.join(SOON)
    assert bench.node.connects == 0
