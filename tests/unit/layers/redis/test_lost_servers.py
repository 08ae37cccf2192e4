"""The driver where a server is lost, away, or not the one to ask: what is repeated, and what is not."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, ResponseError

from routechan.exceptions import ChannelLayerUnavailable
from routechan.layers.redis import driver
from routechan.layers.redis.commands import script
from routechan.layers.redis.commands.script import Operation, Script, Step
from routechan.layers.redis.connection import Retry
from routechan.layers.redis.transport import REDIRECTIONS
from tests.waiting import wait_until

from .driving import LOST, Bench, Op, Send
from .fakes import SOON, FakeNode, Gate, numbers


@pytest.fixture
def bench(driving: Bench) -> Bench:
    """A driver to one server."""
    return driving


# When a server is lost


def lose_once(bench: Bench, at: Any, also: Callable[[], object] = lambda: None) -> None:
    """The connection is lost when the reply to the command that ends in ``at`` is read, the first time."""
    lost: list[Any] = []

    def answer(command: tuple[Any, ...]) -> Any:
        if command[-1] == at and not lost:
            lost.append(command)
            also()
            return LOST
        return 1

    bench.node.answer = answer


def test_what_is_repeatable_is_repeated(bench: Bench) -> None:
    """R6: a reader or a member never hears of a lost connection."""
    lose_once(bench, 1)
    assert bench.call(1) == [1]
    assert numbers(bench.node.commands) == [1, 1]
    assert bench.node.connects == bench.reconnections.count == 2
    assert bench.node.connections[0].closed


def test_what_may_have_been_sent_is_not_sent_again(bench: Bench) -> None:
    """R2: loss is acceptable, duplication is not; and the sender is told which."""
    lose_once(bench, 1)
    with pytest.raises(
        ChannelLayerUnavailable, match=r"the message may have been sent, and is not sent again\. .*gone"
    ):
        bench.call(1, repeatable=False)
    assert numbers(bench.node.commands) == [1]
    assert bench.call(2, repeatable=False) == [1]


def test_what_was_certainly_not_sent_is_sent_later(bench: Bench) -> None:
    """R6: the server cannot be reached at first; nobody hears of it."""
    bench.node.refused = LOST
    thread_result: list[Any] = []
    thread = threading.Thread(target=lambda: thread_result.append(bench.call(1, repeatable=False)))
    thread.start()
    wait_until(lambda: bench.node.connects >= 2, "it was tried again")
    bench.node.refused = None
    thread.join(SOON)
    assert thread_result == [[1]]
    assert numbers(bench.node.commands) == [1]


def test_a_second_step_in_doubt_is_not_repeated_either(bench: Bench) -> None:
    """R2: its first step took effect, so the whole must not begin anew."""
    answers = iter([1, LOST, 1])
    bench.node.answer = lambda command: next(answers)
    with pytest.raises(ChannelLayerUnavailable, match="may have been sent"):
        bench.call(1, steps=2, repeatable=False)
    assert bench.call(2) == [1]


def test_those_read_before_the_loss_are_done(bench: Bench, held: Gate) -> None:
    """R2: the reply of the first came, that of the second did not, the third can be repeated."""
    outcomes: dict[int, Any] = {}

    def keep(number: int, result: Any, error: BaseException | None) -> None:
        outcomes[number] = error or result

    for number, repeatable in ((0, False), (1, False), (2, True)):
        bench.start(number, partial(keep, number), repeatable=repeatable)
    lose_once(bench, 1)
    held.open()
    wait_until(lambda: len(outcomes) == 3, "all have an outcome")
    assert (outcomes[0], outcomes[2]) == ([1], [1])
    assert isinstance(outcomes[1], ChannelLayerUnavailable)
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 2]


def test_those_tried_again_keep_their_order(bench: Bench, held: Gate) -> None:
    """R3: also before what was put in after the loss."""
    for number in range(3):
        bench.start(number)
    lose_once(bench, 1, lambda: bench.start(3))
    held.open()
    wait_until(lambda: bench.node.commands and numbers(bench.node.commands)[-1] == 3, "the last was written")
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 1, 2, 3]


def test_a_lost_server_does_not_hold_up_another(bench: Bench) -> None:
    """R6: shards fail one by one."""
    far = FakeNode("far")
    far.refused = LOST
    bench.topology.tags["far"] = far
    outcomes: list[Any] = []
    bench.start("far", lambda result, error: outcomes.append(result), tag="far")
    wait_until(lambda: far.connects, "the lost server was tried")
    assert bench.call("near") == [1]
    assert outcomes == []
    far.refused = None
    wait_until(lambda: outcomes == [[1]], "it came back")


def test_patience_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChannelLayerUnavailable: it says that nothing was sent, and what the trouble was."""
    monkeypatch.setattr(script, "PATIENCE", 0.05)
    bench.node.refused = LOST
    with pytest.raises(ChannelLayerUnavailable, match=r"for 0\.05 seconds; nothing was sent\. .*it is gone"):
        bench.call(1)
    assert bench.node.commands == []


async def test_patience_ends_on_a_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChannelLayerUnavailable: through the future."""
    monkeypatch.setattr(script, "PATIENCE", 0.05)
    bench.node.refused = LOST
    with pytest.raises(ChannelLayerUnavailable, match="nothing was sent"):
        await asyncio.wait_for(bench.post(1), SOON)


def test_no_more_than_so_many_wait(bench: Bench, held: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """style, habit 8: a server that is away does not fill the memory."""
    monkeypatch.setattr(driver, "WAITING", 3)
    for number in range(3):
        bench.start(number)
    with pytest.raises(ChannelLayerUnavailable, match="3 operations already wait for Redis; nothing was sent"):
        bench.start(3)
    with pytest.raises(ChannelLayerUnavailable, match="nothing was sent"):
        bench.call(4)


def test_attempts_are_made_ever_further_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """R6: back-off with jitter, and from the beginning after a success."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    retry = Retry()
    for longest in (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        retry.failed()
        assert longest / 2 <= retry.at - now <= longest
    retry.succeeded()
    assert retry.at == 0
    retry.failed()
    assert retry.at - now <= 0.05


def test_what_the_server_refuses_is_the_callers_trouble_only(bench: Bench, held: Gate) -> None:
    """style, habit 11: a wrong type, no memory: the connection is good, the other operations go on."""
    bench.node.answer = lambda command: ResponseError("OOM") if command[-1] == 1 else 1
    outcomes: list[Any] = []
    bench.keep(outcomes, 0, 1, 2)
    held.open()
    wait_until(lambda: len(outcomes) == 3, "all have an outcome")
    assert outcomes[::2] == [[1], [1]]
    with pytest.raises(ChannelLayerUnavailable, match="Redis refused a command: OOM"):
        raise outcomes[1]
    assert bench.node.connects == 1


# Servers that are not the ones to ask


def test_a_slot_that_moved_is_asked_for_again(bench: Bench) -> None:
    """R6: nobody executed it, so it is sent again whatever it is; where to, the topology finds out for good.

    (In redis-py a ``MovedError`` is an ``AskError`` too.)
    """
    bench.topology.ask = FakeNode("target")
    answers = iter([MovedError("1 127.0.0.1:1"), 1])
    bench.node.answer = lambda command: next(answers)
    assert bench.call(1, repeatable=False) == [1]
    assert [type(error) for error in bench.topology.moved] == [MovedError]
    assert bench.topology.ask.commands == []


def test_a_slot_on_its_way_is_asked_for_where_it_goes(bench: Bench) -> None:
    """R6: once, with ASKING."""
    target = bench.topology.ask = FakeNode("target")
    bench.node.answer = lambda command: AskError("1 127.0.0.1:1")
    target.answer = lambda command: "OK" if command == ("ASKING",) else 5
    assert bench.call(1, repeatable=False) == [5]
    assert target.commands == [("ASKING",), ("STEP0", 1)]


def test_a_master_that_became_a_replica_is_left(bench: Bench) -> None:
    """R6: a new connection finds out who is the master."""
    answers = iter([ReadOnlyError("READONLY"), 1])
    bench.node.answer = lambda command: next(answers)
    assert bench.call(1, repeatable=False) == [1]
    assert bench.node.connects == 2
    assert bench.node.connections[0].closed


@pytest.mark.parametrize("refusal", [ReadOnlyError("READONLY"), ClusterDownError("CLUSTERDOWN")])
def test_a_server_that_wants_no_command_for_a_while(bench: Bench, refusal: Exception) -> None:
    """R6: it is asked again until it does; after that it is a server like any, and nothing is hurried any more."""
    refused = itertools.count()
    bench.node.answer = lambda command: refusal if next(refused) < 2 * REDIRECTIONS else 1
    assert bench.call(1, repeatable=False) == [1]
    assert next(refused) == 2 * REDIRECTIONS + 1
    assert not bench.driver._transport.retry.failing
    far = bench.topology.tags["far"] = FakeNode("far")
    far.refused = LOST
    bench.start("far", tag="far")
    wait_until(lambda: far.connects >= 2, "the lost server was tried again")
    assert bench.call("near") == [1]
    assert [numbers([call for _, call in pending.step.calls]) for pending in bench.driver._outage.held] == [["far"]]
    assert not bench.driver._waiting


def test_a_slot_without_a_server(bench: Bench) -> None:
    """R6: a Cluster may have a gap for a while. Its slots are asked for again, and hold up no others."""
    node_of, gap = bench.topology.node_of, True
    trials: list[Any] = []

    def known(hash_tag: Any) -> FakeNode:
        if hash_tag == "gap" and gap:
            trials.append(hash_tag)
            raise LOST
        return node_of(hash_tag)

    bench.topology.node_of = known  # type: ignore[method-assign]
    outcomes: list[Any] = []
    bench.start("in the gap", lambda result, error: outcomes.append(error or result), tag="gap", repeatable=False)
    wait_until(lambda: len(trials) > 4, "it was tried again")
    assert bench.call("elsewhere", repeatable=False) == [1]
    assert outcomes == []
    gap = False
    wait_until(lambda: outcomes == [[1]], "it was sent when there was a server")
    assert numbers(bench.node.commands) == ["elsewhere", "in the gap"]


def test_a_cluster_that_cannot_say_where_a_slot_went(bench: Bench) -> None:
    """R6: nobody executed the command, so it is tried again."""

    def cannot_tell(error: Exception) -> None:
        raise LOST

    bench.topology.not_here = cannot_tell  # type: ignore[method-assign]
    answers = iter([MovedError("1 127.0.0.1:1"), AskError("1 127.0.0.1:1"), 1])
    bench.node.answer = lambda command: next(answers)
    assert bench.call(1, repeatable=False) == [1]
    assert numbers(bench.node.commands) == [1, 1, 1]


def test_the_server_that_takes_a_slot_over_is_lost(bench: Bench) -> None:
    """R2: whether it executed the command is not known."""
    target = bench.topology.ask = FakeNode("target")
    bench.node.answer = lambda command: AskError("1 127.0.0.1:1")
    target.answer = lambda command: LOST
    with pytest.raises(ChannelLayerUnavailable, match="may have been sent"):
        bench.call(1, repeatable=False)
    assert target.commands == [("ASKING",), ("STEP0", 1)]


class Everywhere(Operation[Any]):
    """Reads first, if it is told to, then writes to two servers. Lifetime: test."""

    def __init__(self, number: Any, reads: bool = False) -> None:
        self.number = number
        self.reads_first = reads

    def script(self) -> Script[Any]:
        read = (yield Step([("h", ("READ", self.number))], True)) if self.reads_first else []
        replies = yield Step([(tag, ("WRITE", tag, self.number)) for tag in ("h", "far", "h")], False)
        return [*read, *replies]


def far_server(bench: Bench, answer: Any = "far") -> FakeNode:
    """A second server, with the tag of its name; both are connected to."""
    far = bench.topology.tags["far"] = FakeNode("far")
    far.answer = lambda command: answer
    bench.node.answer = lambda command: command[0]
    return far


@pytest.mark.parametrize("reads", [False, True])
def test_a_part_that_was_certainly_not_sent_is_sent_later(bench: Bench, reads: bool) -> None:
    """R6, R2: one of the servers is not there yet; what the others have taken is not sent again."""
    far = far_server(bench)
    far.refused = LOST
    outcomes: list[Any] = []
    bench.driver.start(Everywhere(1, reads), lambda result, error: outcomes.append(error or result))
    wait_until(lambda: far.connects >= 2, "it was tried again")
    assert bench.call("near") == ["STEP0"]
    assert outcomes == []
    far.refused = None
    wait_until(lambda: outcomes, "the rest was sent")
    assert outcomes == [["READ"] * reads + ["WRITE", "far", "WRITE"]]
    assert far.commands == [("WRITE", "far", 1)]
    assert [command for command in bench.node.commands if command[0] != "STEP0"] == (
        [("READ", 1)] * reads + [("WRITE", "h", 1)] * 2
    )


def test_patience_with_a_part_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChannelLayerUnavailable: the error does not say that nothing was sent."""
    monkeypatch.setattr(script, "PATIENCE", 0.05)
    far_server(bench).refused = LOST
    with pytest.raises(ChannelLayerUnavailable, match="other servers have taken their part, which was sent"):
        bench.driver.call(Everywhere(1))
    assert len(bench.node.commands) == 2


@pytest.mark.parametrize("answer", [ResponseError("OOM"), LOST], ids=["refused", "lost"])
def test_a_part_in_doubt_or_refused_ends_the_operation(bench: Bench, answer: Exception) -> None:
    """R2: then the rest is not sent either, and the sender is told."""
    far = far_server(bench)
    far.refused = LOST
    bench.node.answer = lambda command: answer if command[0] == "WRITE" else 1
    with pytest.raises(ChannelLayerUnavailable, match="the message may have been sent, and is not sent again"):
        bench.driver.call(Everywhere(1))
    far.refused = None
    assert bench.call("later", tag="far") == ["far"]
    assert numbers(far.commands) == ["later"]


def test_sends_that_left_together_are_lost_together(bench: Bench, held: Gate) -> None:
    """R2: whether they were executed is not known, so none of them is sent again, and each sender is told."""
    told: list[tuple[int, BaseException | None]] = []
    for number in range(3):
        bench.driver.start(Send("a", b"%d" % number), lambda result, error, number=number: told.append((number, error)))
    wait_until(lambda: len(bench.driver._waiting) == 3, "all wait")
    bench.node.answer = lambda command: LOST if command[0] == "RPUSH" else 1
    held.open()
    wait_until(lambda: len(told) == 3, "all were told")
    assert [number for number, _ in told] == [0, 1, 2]
    assert all(isinstance(error, ChannelLayerUnavailable) for _, error in told)
    assert bench.node.commands.count(("RPUSH", "a", b"0", b"1", b"2")) == 1


def test_sends_that_did_not_leave_come_again_in_order(bench: Bench) -> None:
    """R2: certainly not executed, so they wait for the server, and what was put in meanwhile comes behind them."""
    bench.node.refused = LOST
    for number in range(2):
        bench.driver.start(Send("a", b"%d" % number))
    wait_until(lambda: bench.node.connects, "the lost server was tried")
    bench.driver.start(Send("a", b"2"))
    bench.node.refused = None
    wait_until(lambda: len(bench.node.commands) > 0, "they were sent")
    assert bench.node.commands == [("RPUSH", "a", b"0", b"1", b"2")]


def test_draining_gives_up_in_time(bench: Bench) -> None:
    """``drain``: a server that is away does not keep a process from ending."""
    bench.node.refused = LOST
    bench.driver._put(script.PendingOperation(Op(1)))
    bench.driver.drain(0.05)
    assert len(bench.driver._outage.held) == 1


async def test_what_still_waits_at_the_end_fails(bench: Bench) -> None:
    """``close``: nobody waits for ever, on a loop or on a thread."""
    bench.node.refused = LOST
    errors: list[BaseException] = []

    def call() -> None:
        try:
            bench.call(1)
        except ChannelLayerUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    future = bench.post(2)
    wait_until(lambda: bench.node.connects, "it was tried")
    await asyncio.to_thread(bench.driver.close)
    with pytest.raises(ChannelLayerUnavailable, match="this channel layer was closed; nothing was sent"):
        await asyncio.wait_for(future, SOON)
    thread.join(SOON)
    assert len(errors) == 1


def test_ctrl_c_in_the_midst_of_a_reply(bench: Bench) -> None:
    """R2: the connection has replies nobody asks for, so that it is closed; the next operation has a new one."""
    bench.node.answer = lambda command: KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.call(1)
    bench.node.answer = lambda command: 1
    assert bench.call(2) == [1]
    assert bench.node.connections[0].closed
    assert numbers(bench.node.commands) == [1, 2]


def test_a_mistake_of_ours_leaves_no_caller_waiting(bench: Bench, held: Gate) -> None:
    """R2: those in the same batch are told that theirs may have been sent."""
    outcomes: list[Any] = []
    bench.keep(outcomes, 0, 1)
    mistake = RuntimeError("a mistake of ours")
    bench.node.answer = lambda command: 1 if command[-1] == "first" else mistake
    held.open()
    wait_until(lambda: len(outcomes) == 2, "both have an outcome")
    assert all(isinstance(error, ChannelLayerUnavailable) for error in outcomes)
    bench.node.answer = lambda command: 1
    assert bench.call(2) == [1]


def test_the_clock_is_that_of_the_moment_the_server_told_it(bench: Bench) -> None:
    """R3: other threads connect, and a busy machine may leave them waiting before they hand the connection over."""
    told = time.monotonic()
    bench.node.time = 5000.0

    class Slow(FakeNode):
        def connect(self) -> Any:
            made = super().connect()
            made.asked_at = made.told_at = told
            time.sleep(0.05)
            return made

    slow = Slow()
    slow.time = 5000.0
    bench.topology.tags.update(h=slow, leases=slow)
    bench.call(1)
    assert bench.clock.now() - 5000.0 == pytest.approx(time.monotonic() - told, abs=0.01)
