"""The pipe: what leaves together and in which order, and what becomes of it when a server is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers.redis import pipe as pipe_module
from routechan.layers.redis.operations import Operation, Operations, Sending, Step
from routechan.layers.redis.pipe import Pipe
from routechan.layers.redis.retry import Retry
from tests.waiting import wait_until

from .fakes import SOON, FakeConnection, FakeNode, FakeTopology, Gate, numbers

LOST = RedisConnectionError("it is gone")


def op(number: Any, *, steps: int = 1, repeatable: bool = True, home: str = "h", size: int = 1) -> Operation[Any]:
    """``steps`` steps of ``size`` commands each; returns the replies of the last."""
    replies = None
    for step in range(steps):
        replies = yield Step([(home, (f"STEP{step}", number))] * size, repeatable)
    return replies


class Bench:
    """A pipe to ``node``, the only one until the test adds others. Lifetime: test."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.topology = FakeTopology(self.node)
        self.connected: list[FakeConnection] = []
        self.told = 0
        self.spare: Callable[[], Operation[Any]] | None = None
        self.pipe = Pipe(self.topology, connected=self.connected.append, spare=self._spare, told=self._tell)

    def _spare(self) -> Callable[[], Operation[Any]] | None:
        spare, self.spare = self.spare, None
        return spare

    def _tell(self) -> None:
        self.told += 1

    def call(self, number: Any, **options: Any) -> Any:
        return self.pipe.call(partial(op, number, **options))

    def post(self, number: Any, **options: Any) -> asyncio.Future[Any]:
        return self.pipe.post(partial(op, number, **options))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.pipe.close()


@pytest.fixture
def held(bench: Bench) -> Iterator[Gate]:
    """A first operation is in Redis and stays there until the gate is opened: what is put in meanwhile gathers."""
    gate = Gate()
    bench.node.on_write = gate
    thread = threading.Thread(target=bench.call, args=("first",))
    thread.start()
    assert gate.reached.wait(SOON)
    bench.node.on_write = lambda: None
    yield gate
    gate.open()
    thread.join(SOON)


# Together, and in order


def test_a_call_returns_what_the_operation_returns(bench: Bench) -> None:
    """R1: one write, one connection."""
    assert bench.call(7, size=2) == [1, 1]
    assert bench.node.writes == [[("STEP0", 7)] * 2]
    assert bench.node.connects == len(bench.connected) == 1


def test_an_operations_own_error_is_the_callers(bench: Bench) -> None:
    """such as ``ChannelFull``: the connection is none the worse."""

    def full() -> Operation[None]:
        yield Step([("h", ("SEND",))], False)
        raise ChannelFull("a", 1)

    with pytest.raises(ChannelFull):
        bench.pipe.call(full)
    assert bench.call(1) == [1]
    assert bench.node.connects == 1


async def test_a_thousand_posts_are_a_few_writes(bench: Bench) -> None:
    """R10, section 8.1, 12: what gathers leaves together, in order, over one connection."""
    futures = [bench.post(number) for number in range(1000)]
    await asyncio.wait_for(asyncio.gather(*futures), SOON)
    assert numbers(bench.node.commands) == list(range(1000))
    assert len(bench.node.writes) <= 20
    assert bench.node.connects == 1


def test_entries_leave_in_the_order_they_came(bench: Bench, held: Gate) -> None:
    """the contract of ``post``: from whichever thread and through whichever method."""
    done: list[Any] = []
    for number in range(4):
        bench.pipe.start(partial(op, number), lambda result, error, number=number: done.append(number))
    thread = threading.Thread(target=bench.call, args=(4,))
    thread.start()
    wait_until(lambda: len(bench.pipe._entries) == 5, "all five wait")
    held.open()
    thread.join(SOON)
    wait_until(lambda: len(done) == 4, "the callbacks were called")
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 3, 4]
    assert len(bench.node.writes) == 2
    assert done == [0, 1, 2, 3]


class Sends:
    """The ``send`` of ``Operations``: one command for all; what says "full" is refused. Lifetime: test."""

    def send(self, queue: str, messages: list[Sending]) -> Operation[list[ChannelFull | None]]:
        bodies = [message.body for message in messages]
        yield Step([("h", ("RPUSH", queue, *bodies))], False)
        return [ChannelFull(queue, 1) if body == b"full" else None for body in bodies]

    def __call__(self, queue: str, body: bytes) -> Sending:
        return Sending(cast(Operations, self), queue, queue, body)


async def test_sends_to_a_queue_leave_in_one_command(bench: Bench, held: Gate) -> None:
    """R1: those that lie next to each other, so that no message passes another; each learns what became of it."""
    send, number = Sends(), partial(op, 0)
    makes = [send("a", b"1"), send("a", b"full"), send("a", b"2"), send("b", b"3"), send("a", b"4"), number]
    posts = [bench.pipe.post(make) for make in [*makes, send("a", b"5"), send("a", b"6")]]
    held.open()
    outcomes = await asyncio.wait_for(asyncio.gather(*posts, return_exceptions=True), SOON)
    assert bench.node.commands[1:] == [
        ("RPUSH", "a", b"1", b"full", b"2"),
        ("RPUSH", "b", b"3"),
        ("RPUSH", "a", b"4"),
        ("STEP0", 0),
        ("RPUSH", "a", b"5", b"6"),
    ]
    assert len(bench.node.writes) == 2
    assert isinstance(outcomes.pop(1), ChannelFull)
    assert outcomes == [None, None, None, None, [1], None, None]


def test_sends_that_left_together_are_lost_together(bench: Bench, held: Gate) -> None:
    """R2: whether they were executed is not known, so none of them is sent again, and each sender is told."""
    send = Sends()
    told: list[tuple[int, BaseException | None]] = []
    for number in range(3):
        bench.pipe.start(send("a", b"%d" % number), lambda result, error, number=number: told.append((number, error)))
    wait_until(lambda: len(bench.pipe._entries) == 3, "all wait")
    bench.node.answer = lambda command: LOST if command[0] == "RPUSH" else 1
    held.open()
    wait_until(lambda: len(told) == 3, "all were told")
    assert [number for number, _ in told] == [0, 1, 2]
    assert all(isinstance(error, ChannelLayerUnavailable) for _, error in told)
    assert bench.node.commands.count(("RPUSH", "a", b"0", b"1", b"2")) == 1


def test_sends_that_did_not_leave_come_again_in_order(bench: Bench) -> None:
    """R2: certainly not executed, so they wait for the server, and what was put in meanwhile comes behind them."""
    send = Sends()
    bench.node.refused = LOST
    for number in range(2):
        bench.pipe.start(send("a", b"%d" % number))
    wait_until(lambda: bench.node.connects, "the lost server was tried")
    bench.pipe.start(send("a", b"2"))
    bench.node.refused = None
    wait_until(lambda: len(bench.node.commands) > 0, "they were sent")
    assert bench.node.commands == [("RPUSH", "a", b"0", b"1", b"2")]


def test_steps_of_several_operations_leave_together(bench: Bench, held: Gate) -> None:
    """R1: three operations of two steps are two round trips."""
    for number in range(3):
        bench.pipe.start(partial(op, number, steps=2))
    held.open()
    wait_until(lambda: len(bench.node.writes) == 3, "both steps were written")
    assert bench.node.writes[1:] == [[("STEP0", n) for n in range(3)], [("STEP1", n) for n in range(3)]]


def test_no_more_than_so_many_leave_together(bench: Bench, held: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """style, habit 8: a crowd does not become one write without end."""
    monkeypatch.setattr(pipe_module, "TOGETHER", 10)
    for number in range(25):
        bench.pipe.start(partial(op, number))
    held.open()
    wait_until(lambda: len(bench.node.commands) == 26, "all were written")
    assert [len(write) for write in bench.node.writes] == [1, 10, 10, 5]


def test_what_a_prelude_reads_is_read_ahead(bench: Bench, held: Gate) -> None:
    """R9: a group's members are read in the round trip before, so that its messages keep their place among sends."""
    bench.pipe.start(partial(op, "send"))
    thread = threading.Thread(target=lambda: bench.pipe.call(partial(op, "group", steps=2), prelude=True))
    thread.start()
    wait_until(lambda: len(bench.pipe._entries) == 2, "both wait")
    bench.pipe.start(partial(op, "after"))
    held.open()
    thread.join(SOON)
    wait_until(lambda: len(bench.node.commands) == 5, "all were written")
    assert bench.node.writes[1:] == [
        [("STEP0", "group")],
        [("STEP0", "send"), ("STEP1", "group"), ("STEP0", "after")],
    ]


def test_no_prelude_passes_a_change_of_members(bench: Bench, held: Gate) -> None:
    """section 2.2: who was added before the group send is reached by it."""
    bench.pipe.start(partial(op, "join"), joins=True)
    thread = threading.Thread(target=lambda: bench.pipe.call(partial(op, "group", steps=2), prelude=True))
    thread.start()
    wait_until(lambda: len(bench.pipe._entries) == 2, "both wait")
    held.open()
    thread.join(SOON)
    assert bench.node.writes[1:] == [[("STEP0", "join")], [("STEP0", "group")], [("STEP1", "group")]]


def test_each_server_is_written_to_once(bench: Bench, held: Gate) -> None:
    """R6, R9: servers work side by side; replies find their operations."""
    other = FakeNode("other")
    other.answer = lambda command: 2
    bench.topology.homes["far"] = other
    results: list[Any] = []
    for number, home in enumerate(("h", "far", "h", "far")):
        bench.pipe.start(partial(op, number, home=home), lambda result, error: results.append(result))
    held.open()
    wait_until(lambda: len(results) == 4, "all are done")
    assert numbers(bench.node.writes[1]) == [0, 2]
    assert numbers(other.writes[0]) == [1, 3]
    assert results == [[1], [2], [1], [2]]


def test_what_is_spare_leaves_along(bench: Bench) -> None:
    """R1: counts cost no round trip of their own."""
    bench.spare = partial(op, "counts")
    bench.call(1)
    assert numbers(bench.node.writes[0]) == [1, "counts"]


def test_it_is_told_after_the_callbacks(bench: Bench) -> None:
    """those who got a message are woken all at once."""
    seen: list[int] = []
    bench.pipe.start(partial(op, 1), lambda result, error: seen.append(bench.told))
    wait_until(lambda: seen and bench.told > seen[0], "it was told")


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
    assert bench.node.connects == len(bench.connected) == 2
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
        bench.pipe.start(partial(op, number, repeatable=repeatable), partial(keep, number))
    lose_once(bench, 1)
    held.open()
    wait_until(lambda: len(outcomes) == 3, "all have an outcome")
    assert (outcomes[0], outcomes[2]) == ([1], [1])
    assert isinstance(outcomes[1], ChannelLayerUnavailable)
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 2]


def test_those_tried_again_keep_their_order(bench: Bench, held: Gate) -> None:
    """R3: also before what was put in after the loss."""
    for number in range(3):
        bench.pipe.start(partial(op, number))
    lose_once(bench, 1, lambda: bench.pipe.start(partial(op, 3)))
    held.open()
    wait_until(lambda: bench.node.commands and numbers(bench.node.commands)[-1] == 3, "the last was written")
    assert numbers(bench.node.commands) == ["first", 0, 1, 2, 1, 2, 3]


def test_a_lost_server_does_not_hold_up_another(bench: Bench) -> None:
    """R6: shards fail one by one."""
    far = FakeNode("far")
    far.refused = LOST
    bench.topology.homes["far"] = far
    outcomes: list[Any] = []
    bench.pipe.start(partial(op, "far", home="far"), lambda result, error: outcomes.append(result))
    wait_until(lambda: far.connects, "the lost server was tried")
    assert bench.call("near") == [1]
    assert outcomes == []
    far.refused = None
    wait_until(lambda: outcomes == [[1]], "it came back")


def test_patience_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChannelLayerUnavailable: it says that nothing was sent, and what the trouble was."""
    monkeypatch.setattr(pipe_module, "PATIENCE", 0.05)
    bench.node.refused = LOST
    with pytest.raises(ChannelLayerUnavailable, match=r"for 0\.05 seconds; nothing was sent\. .*it is gone"):
        bench.call(1)
    assert bench.node.commands == []


async def test_patience_ends_on_a_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """ChannelLayerUnavailable: through the future."""
    monkeypatch.setattr(pipe_module, "PATIENCE", 0.05)
    bench.node.refused = LOST
    with pytest.raises(ChannelLayerUnavailable, match="nothing was sent"):
        await asyncio.wait_for(bench.post(1), SOON)


def test_no_more_than_so_many_wait(bench: Bench, held: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """style, habit 8: a server that is away does not fill the memory."""
    monkeypatch.setattr(pipe_module, "WAITING", 3)
    for number in range(3):
        bench.pipe.start(partial(op, number))
    with pytest.raises(ChannelLayerUnavailable, match="3 operations already wait for Redis; nothing was sent"):
        bench.pipe.start(partial(op, 3))
    with pytest.raises(ChannelLayerUnavailable, match="nothing was sent"):
        bench.call(4)


def test_attempts_are_made_ever_further_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """R6: back-off with jitter, and from the beginning after a success."""
    now = 100.0
    monkeypatch.setattr(pipe_module.time, "monotonic", lambda: now)
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
    for number in range(3):
        bench.pipe.start(partial(op, number), lambda result, error: outcomes.append(error or result))
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


# Callbacks, loops, threads


def test_a_callback_that_fails_costs_nobody_else(bench: Bench, held: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """style, habit 13: it is logged, and the others' operations go on."""
    seen: list[Any] = []

    def fail(result: Any, error: BaseException | None) -> None:
        raise LookupError("a callback's own")

    bench.pipe.start(partial(op, 0), fail)
    bench.pipe.start(partial(op, 1), lambda result, error: seen.append(result))
    held.open()
    wait_until(lambda: seen, "the second was called")
    assert bench.call(2) == [1]
    assert "Handling a reply of Redis failed" in caplog.text


def test_a_closed_loop_takes_nothing_with_it(bench: Bench, held: Gate) -> None:
    """R10: a loop that ended with its posts on the way; other loops and threads go on."""

    async def post() -> None:
        bench.post("gone")

    asyncio.run(post())
    held.open()
    assert bench.call("stays") == [1]
    wait_until(lambda: numbers(bench.node.commands) == ["first", "gone", "stays"], "all were written")
    assert bench.call("next") == [1]
    assert bench.node.connects == 1


async def test_a_cancelled_post_takes_effect_all_the_same(bench: Bench, held: Gate) -> None:
    """R7: it is on its way; its outcome has nobody to go to, which is no trouble."""
    future = bench.post("cancelled")
    future.cancel()
    held.open()
    assert await asyncio.wait_for(bench.post("next"), SOON) == [1]
    assert numbers(bench.node.commands) == ["first", "cancelled", "next"]


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
    bench.pipe.start(partial(op, 0), lambda result, error: outcomes.append(error))
    bench.pipe.start(partial(op, 1), lambda result, error: outcomes.append(error))

    mistake = RuntimeError("a mistake of ours")
    bench.node.answer = lambda command: 1 if command[-1] == "first" else mistake
    held.open()
    wait_until(lambda: len(outcomes) == 2, "both have an outcome")
    assert all(isinstance(error, ChannelLayerUnavailable) for error in outcomes)
    bench.node.answer = lambda command: 1
    assert bench.call(2) == [1]


def test_many_threads_share_one_connection(bench: Bench) -> None:
    """R10: no connection per call, nor per thread."""
    results: list[Any] = []
    bench.node.answer = lambda command: command[-1]
    threads = [
        threading.Thread(target=lambda first=first: results.extend(bench.call(first + n)[0] for n in range(25)))
        for first in range(0, 200, 25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert sorted(results) == list(range(200))
    assert bench.node.connects == 1


# The end


def test_what_is_put_in_leaves_before_the_end(bench: Bench) -> None:
    """``drain``: within the time it is given."""
    for number in range(5):
        bench.pipe._put(pipe_module.Entry(partial(op, number), False, False))
    bench.pipe.drain(SOON)
    assert numbers(bench.node.commands) == list(range(5))


def test_draining_gives_up_in_time(bench: Bench) -> None:
    """``drain``: a server that is away does not keep a process from ending."""
    bench.node.refused = LOST
    bench.pipe._put(pipe_module.Entry(partial(op, 1), False, False))
    bench.pipe.drain(0.05)
    assert len(bench.pipe._entries) == 1


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
    await asyncio.to_thread(bench.pipe.close)
    with pytest.raises(ChannelLayerUnavailable, match="this channel layer was closed; nothing was sent"):
        await asyncio.wait_for(future, SOON)
    thread.join(SOON)
    assert len(errors) == 1


def test_after_the_end_nothing_is_taken(bench: Bench) -> None:
    """``close``: connections are closed, and whoever comes is told."""
    bench.call(1)
    bench.pipe.close()
    assert bench.node.connections[0].closed
    with pytest.raises(ChannelLayerUnavailable, match="was closed"):
        bench.call(2)


def test_the_thread_ends_with_it(bench: Bench) -> None:
    """``close``: also one that has nothing to do."""
    bench.pipe.start(partial(op, 1))
    wait_until(lambda: bench.node.commands, "it was written")
    thread = bench.pipe._thread
    assert thread is not None
    bench.pipe.close()
    thread.join(SOON)
    assert not thread.is_alive()
