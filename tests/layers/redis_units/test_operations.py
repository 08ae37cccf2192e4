"""Operations as commands out and replies in, driven by hand: what leaves together, and what a reply means."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan.exceptions import ChannelFull
from routechan.layers.base import CapacityRules
from routechan.layers.redis.clock import RedisClock
from routechan.layers.redis.envelope import FLUSH, GROUP, JOIN, LEAVE, MESSAGE, Envelope, pack, unpack
from routechan.layers.redis.keys import DELAYED, LEASES, STATISTICS, Keys, home_of
from routechan.layers.redis.operations import CHUNK, LONGEST_DELAY, Arrival, Operation, Operations, Sending, Step
from routechan.layers.statistics import COUNTED, Counts
from routechan.names import queue_name

NOW = 1_800_000_000.0
EXPIRY, GROUP_EXPIRY = 60.0, 3600.0
TTL, GROUP_TTL = 121_000, 3_601_000
OLD, FRESH = NOW - 1, NOW + 30
ME = "ME"


class StoppedClock(RedisClock):
    def now(self) -> float:
        return NOW

    def learn(self, redis_time: float) -> None:
        self.learned = redis_time


class Bench:
    """Operations of one process, whose replies the test makes up. Lifetime: test."""

    def __init__(self, capacity: int = 3, capacities: dict[str, int] | None = None) -> None:
        self.keys = Keys("rc")
        self.counts = Counts()
        self.clock = StoppedClock()
        self.make = Operations(
            self.keys,
            process=ME,
            expiry=EXPIRY,
            group_expiry=GROUP_EXPIRY,
            rules=CapacityRules(capacity, {"small*": 1} if capacities is None else capacities),
            clock=self.clock,
            counts=self.counts,
            is_own=lambda queue: queue.endswith(f".{ME}!"),
        )

    def send(self, channel: str, *others: str) -> Run:
        """Messages to one queue, all with the same body."""
        first, *following = [Sending(self.make, queue_name(name), name, b"body") for name in (channel, *others)]
        return Run(first(following))

    def counted(self, queue: str | None = None) -> dict[str, int]:
        return {what: count for what, count in self.counts.of(queue).items() if count}


@pytest.fixture
def bench() -> Bench:
    return Bench()


class Run:
    """One operation, step by step. Lifetime: test."""

    def __init__(self, operation: Operation[Any]) -> None:
        self._operation = operation
        self.done = False
        self.ended: set[tuple[Any, Any]] = set()
        self.result: Any = None
        self._next(None)

    def reply(self, *replies: Any) -> Run:
        """Give the replies of the current step, one for each command."""
        assert not self.done, "it has ended"
        assert len(replies) == len(self.step.calls), self.commands
        self._next(list(replies))
        return self

    def _next(self, replies: list[Any] | None) -> None:
        try:
            self.step: Step = next(self._operation) if replies is None else self._operation.send(replies)
        except StopIteration as end:
            self.done, self.result = True, end.value

    @property
    def commands(self) -> list[tuple[Any, ...]]:
        return [command for _, command in self.step.calls]

    @property
    def verbs(self) -> list[str]:
        return [command[0] for command in self.commands]

    @property
    def homes(self) -> list[Any]:
        return [home for home, _ in self.step.calls]


def message(expires: float, name: str = "a", body: bytes = b"body") -> bytes:
    return pack(expires, MESSAGE, name, body)


# Sending


def test_a_send_is_one_step(bench: Bench) -> None:
    """R1, R5: append and time to live leave together; the length in the reply is the capacity check."""
    run = bench.send("process!a")
    key = bench.keys.queue("process!")
    assert run.commands == [
        ("RPUSH", key, pack(NOW + EXPIRY, MESSAGE, "process!a", b"body")),
        ("PEXPIRE", key, TTL),
    ]
    assert set(run.homes) == {home_of("process!")}
    assert not run.step.repeatable
    assert run.reply(3, 1).done
    assert bench.counted("process!") == {"messages_count": 1}


def test_a_send_over_capacity_is_taken_back(bench: Bench) -> None:
    """R4: nothing at the head has expired, so the newcomer is taken off the end, and the sender told."""
    run = bench.send("a")
    data = run.commands[0][2]
    run.reply(4, 1)
    key = bench.keys.queue("a")
    assert run.commands == [("LRANGE", key, 0, 0), ("LLEN", key)]
    assert run.step.repeatable
    run.reply([message(FRESH)], 4)
    assert run.commands == [("LREM", key, -1, data)]
    assert not run.step.repeatable
    (full,) = run.reply(1).result
    assert isinstance(full, ChannelFull)
    assert (full.channel, full.capacity) == ("a", 3)
    assert bench.counted() == {"channel_full_count": 1}


def test_expired_heads_make_room(bench: Bench) -> None:
    """R4 (A2): what has expired unread is removed and counted, and the newcomer stays."""
    run = bench.send("a").reply(5, 1)
    heads = [message(OLD), message(OLD, body=b"other")]
    assert run.commands[0][2:] == (0, 1)
    run.reply(heads, 5)
    key = bench.keys.queue("a")
    assert run.commands == [("LREM", key, 1, heads[0]), ("LREM", key, 1, heads[1])]
    assert run.reply(1, 0).done  # another sender removed one of them: it counts it
    assert bench.counted("a") == {"messages_count": 1, "expired_count": 1}


def test_too_few_expired_heads_make_no_room(bench: Bench) -> None:
    """R4: one of two is still alive, so there is one too many: the newcomer goes."""
    run = bench.send("a")
    data = run.commands[0][2]
    run.reply(5, 1).reply([message(OLD), message(FRESH)], 5)
    key = bench.keys.queue("a")
    assert run.commands == [("LREM", key, 1, message(OLD)), ("LREM", key, -1, data)]
    (full,) = run.reply(1, 1).result
    assert isinstance(full, ChannelFull)
    assert bench.counted("a") == {"expired_count": 1, "channel_full_count": 1}


def test_what_was_taken_back_too_late_was_sent(bench: Bench) -> None:
    """R2: a reader had it already; to refuse it now would have it sent twice."""
    run = bench.send("a").reply(4, 1).reply([message(FRESH)], 4)
    assert run.reply(0).done
    assert bench.counted("a") == {"messages_count": 1}


def test_a_reader_in_between_made_room(bench: Bench) -> None:
    """R4: the queue is short enough by now, so nothing is taken back."""
    run = bench.send("a").reply(4, 1)
    assert run.reply([message(FRESH)], 3).done
    assert bench.counted("a") == {"messages_count": 1}


def test_capacity_is_that_of_the_channel(bench: Bench) -> None:
    """R4, section 2.6: the pattern is asked for the full name."""
    assert bench.send("large").reply(2, 1).done
    run = bench.send("small!a").reply(2, 1)
    assert not run.done


def test_several_sends_to_a_queue_are_one_command(bench: Bench) -> None:
    """R1: in their order, with one time to live."""
    run = bench.send("process!a", "process!b", "process!a")
    names = ("process!a", "process!b", "process!a")
    assert run.commands == [
        ("RPUSH", bench.keys.queue("process!"), *(message(NOW + EXPIRY, name) for name in names)),
        ("PEXPIRE", bench.keys.queue("process!"), TTL),
    ]
    assert run.reply(3, 1).result == [None, None, None]
    assert bench.counted("process!") == {"messages_count": 3}


def test_of_several_sends_those_beyond_capacity_are_refused(bench: Bench) -> None:
    """R4: each has its own place in the queue; what makes no room is taken back, all of it in one step."""
    run = bench.send("a", "a", "a", "a")
    data = run.commands[0][2]
    run.reply(6, 1)  # two were there: the places are 3 to 6, of which 3 is the last that fits
    key = bench.keys.queue("a")
    assert run.commands == [("LRANGE", key, 0, 2), ("LLEN", key)]
    run.reply([message(OLD), message(FRESH), data], 6)  # with one gone, the second has place 3
    assert run.commands == [("LREM", key, 1, message(OLD)), ("LREM", key, -1, data), ("LREM", key, -1, data)]
    outcomes = run.reply(1, 1, 1).result
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), ChannelFull, ChannelFull]
    assert bench.counted("a") == {"messages_count": 2, "channel_full_count": 2, "expired_count": 1}


def test_of_several_sends_a_reader_takes_the_first(bench: Bench) -> None:
    """R4: what was read meanwhile has made room for those behind it; what was read too early was sent."""
    run = bench.send("a", "a", "a", "a", "a").reply(6, 1).reply([message(FRESH)] * 3, 4)
    assert run.verbs == ["LREM"]  # the last one alone
    assert run.reply(0).result == [None] * 5
    assert bench.counted("a") == {"messages_count": 5}


def executed(run: Run, queue: list[bytes]) -> Run:
    """``run`` to its end, with ``queue`` for the only key."""

    def reply(command: tuple[Any, ...]) -> Any:
        verb, _, *arguments = command
        if verb == "RPUSH":
            queue.extend(arguments)
        elif verb == "LRANGE":
            return queue[arguments[0] : arguments[1] + 1]
        elif verb == "LREM":
            places = [place for place, data in enumerate(queue) if data == arguments[1]]
            if places:
                del queue[places[0 if arguments[0] > 0 else -1]]
            return len(places[:1])
        return len(queue)

    while not run.done:
        run.reply(*map(reply, run.commands))
    return run


@given(
    there=st.lists(st.booleans(), max_size=7).map(sorted),
    channels=st.lists(st.sampled_from(["small!a", "small!b", "small!large"]), min_size=1, max_size=6),
    capacities=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_several_sends_do_what_they_do_one_by_one(
    there: list[bool], channels: list[str], capacities: tuple[int, int]
) -> None:
    """R4: the same stay and the same are refused, whatever was in the queue, expired or not."""
    found = []
    for one_by_one in (False, True):
        bench = Bench(capacities[0], {"small!large": capacities[1]})
        queue = [message(FRESH if alive else OLD, "small!x", b"%d" % number) for number, alive in enumerate(there)]
        if one_by_one:
            outcomes = [executed(bench.send(channel), queue).result[0] for channel in channels]
        else:
            outcomes = executed(bench.send(*channels), queue).result
        left = [data for data in queue if int.from_bytes(data[:8], "big") >= NOW * 1000]
        found.append(([outcome is None for outcome in outcomes], left))
    assert found[0] == found[1]


def test_a_capacity_for_each_of_several_sends(bench: Bench) -> None:
    """R4, section 2.6: channels of one queue may have capacities of their own."""
    run = bench.send("queue!small", "queue!small")
    assert run.reply(2, 1).done
    run = bench.send("small!a", "small!b").reply(2, 1)
    assert run.reply([message(FRESH)], 2).reply(1).result[0] is None
    assert isinstance(run.result[1], ChannelFull)


def test_an_empty_time_stamp_takes_no_room(bench: Bench) -> None:
    """R12 (C20): what is no message of ours is no reason to refuse one."""
    run = bench.send("a").reply(4, 1).reply([b"garbage"], 4)
    assert run.commands == [("LREM", bench.keys.queue("a"), 1, b"garbage")]
    assert run.reply(1).done


# Groups: sending


def sent_to_group(bench: Bench, *entries: str) -> Run:
    run = Run(bench.make.group_send("g", b"body"))
    assert run.commands == [("ZRANGEBYSCORE", bench.keys.group("g"), NOW, "+inf")]
    assert run.step.repeatable
    return run.reply([entry.encode() for entry in entries])


def test_a_group_send_is_two_steps(bench: Bench) -> None:
    """R9: one to read the members, one that reaches them all; the body once for each process."""
    run = sent_to_group(bench, "plain", "process!", f"websocket.{ME}!")
    plain, process = bench.keys.queue("plain"), bench.keys.queue("process!")
    assert run.commands == [
        ("LINDEX", plain, 0),
        ("RPUSH", plain, pack(NOW + EXPIRY, MESSAGE, "plain", b"body")),
        ("PEXPIRE", plain, TTL),
        ("RPUSH", process, pack(NOW + EXPIRY, GROUP, "g", b"body")),
        ("PEXPIRE", process, TTL),
    ]
    assert run.homes == [home_of("plain")] * 3 + ["process"] * 2
    assert not run.step.repeatable
    assert run.reply(None, 1, 1, 1, 1).done
    assert bench.counted() == {"messages_count": 2}


@pytest.mark.parametrize("entries", [[], [f"websocket.{ME}!"]], ids=["nobody", "only this process"])
def test_a_group_without_others_is_one_step(bench: Bench, entries: list[str]) -> None:
    """R9: members of this process got it without Redis."""
    assert sent_to_group(bench, *entries).done


def test_a_plain_member_that_let_one_expire_is_evicted(bench: Bench) -> None:
    """item 43: this message is taken back, and the membership ended."""
    run = sent_to_group(bench, "plain")
    data = run.commands[1][2]
    run.reply(message(OLD), 2, 1)
    assert run.commands == [("LREM", bench.keys.queue("plain"), -1, data), ("ZREM", bench.keys.group("g"), "plain")]
    assert run.reply(1, 1).done
    assert bench.counted() == {}


def test_full_members_miss_it_and_the_others_do_not(bench: Bench) -> None:
    """items 77-81: the work for all those that are full is done in common steps."""
    run = sent_to_group(bench, "full", "free", "process!", "evicted")
    sent = {command[1]: command[2] for command in run.commands if command[0] == "RPUSH"}
    run.reply(message(FRESH), 4, 1, None, 1, 1, 4, 1, message(OLD), 2, 1)
    full, process, evicted = (bench.keys.queue(name) for name in ("full", "process!", "evicted"))
    assert run.commands == [
        ("LRANGE", full, 0, 0),
        ("LLEN", full),
        ("LRANGE", process, 0, 0),
        ("LLEN", process),
        ("LREM", evicted, -1, sent[evicted]),
        ("ZREM", bench.keys.group("g"), "evicted"),
    ]
    assert not run.step.repeatable  # because of one of them
    run.reply([message(FRESH)], 4, [message(FRESH)], 4, 1, 1)
    assert run.commands == [("LREM", full, -1, sent[full]), ("LREM", process, -1, sent[process])]
    assert run.reply(1, 1).done
    assert bench.counted() == {"messages_count": 1, "dropped_count": 2}
    assert bench.counted("evicted") == {}


@pytest.mark.parametrize("lease", [None, b"1800000015"])
def test_a_queue_that_expired_unread_and_that_no_living_process_owns_is_evicted(
    bench: Bench, lease: bytes | None
) -> None:
    """A11, C15: a dead process is no member; a living one that was slow is."""
    run = sent_to_group(bench, "process!").reply(4, 1).reply([message(OLD)], 4)
    run.reply(1)
    assert run.commands == [("ZSCORE", bench.keys.leases, "process")]
    assert run.homes == [LEASES]
    run.reply(lease)
    if lease is None:
        assert run.commands == [
            ("ZREM", bench.keys.group("g"), "process!"),
            ("UNLINK", bench.keys.members("g", "process!")),
        ]
        run.reply(1, 1)
    assert run.done
    assert bench.counted() == {"messages_count": 1, "expired_count": 1}


# Receiving


def test_a_receive_is_one_step(bench: Bench) -> None:
    """R1, R2: the pop is the delivery."""
    run = Run(bench.make.pop("process!"))
    assert run.commands == [("LPOP", bench.keys.queue("process!"))]
    assert run.reply(message(FRESH, "process!a")).result == [Arrival("process!a", b"body", FRESH)]


def test_nothing_there(bench: Bench) -> None:
    """R1: and that is known after one step."""
    assert Run(bench.make.pop("a")).reply(None).result == []


def test_expired_and_foreign_messages_are_passed_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R3 (C3), R12 (C20): counted, and the next one is fetched."""
    run = Run(bench.make.pop("a"))
    for data in (message(OLD), b"garbage", message(NOW - 0.001)):
        run.reply(data)
        assert run.verbs == ["LPOP"]
    assert run.reply(message(NOW)).result == [Arrival("a", b"body", NOW)]
    assert bench.counted("a") == {"expired_count": 2, "dropped_count": 1}
    assert "A message in rc:queue:" in caplog.text


def test_a_group_message_meets_the_members_of_its_queue(bench: Bench) -> None:
    """R9: as of when it is read; without members it is nothing."""
    run = Run(bench.make.pop("process!")).reply(pack(FRESH, GROUP, "g", b"body"))
    assert run.commands == [("ZRANGEBYSCORE", bench.keys.members("g", "process!"), NOW, "+inf")]
    run.reply([])
    assert run.verbs == ["LPOP"]
    run.reply(pack(FRESH, GROUP, "g", b"body")).reply([b"process!a", b"process!b"])
    assert run.result == [Arrival("process!a", b"body", FRESH), Arrival("process!b", b"body", FRESH)]


@pytest.mark.parametrize("kind", [JOIN, LEAVE, FLUSH, 99])
def test_notes_are_for_processes(bench: Bench, kind: int) -> None:
    """R12: what only a serving process understands, another one that reads the queue passes over."""
    run = Run(bench.make.pop("process!")).reply(pack(FRESH, kind, "g", b"process!a"))
    assert run.reply(None).result == []


def test_one_command_reads_several_queues(bench: Bench) -> None:
    """R6: all queues of one place; then those of the next."""
    bench.make.newer = True
    run = Run(bench.make.pop_any([["a", "b"], ["process!"]], 2))
    keys = [bench.keys.queue(name) for name in ("a", "b", "process!")]
    assert run.commands == [("LMPOP", 2, *keys[:2], "LEFT", "COUNT", 2)]
    run.reply([keys[1].encode(), [message(OLD, "b")]])
    assert run.commands == [("LMPOP", 2, *keys[:2], "LEFT", "COUNT", 2)]
    run.reply(None)
    assert run.commands == [("LMPOP", 1, keys[2], "LEFT", "COUNT", 2)]
    run.reply([keys[2].encode(), [message(FRESH, "process!a"), message(OLD), message(FRESH, "process!b")]])
    assert run.result == [Arrival("process!a", b"body", FRESH), Arrival("process!b", b"body", FRESH)]
    assert bench.counted("process!") == {"expired_count": 1}
    assert bench.counted("b") == {"expired_count": 1}


def test_one_command_reads_several_queues_on_an_older_server(bench: Bench) -> None:
    """R6: Redis 6.2 knows no LMPOP; in a transaction its BLPOP does not wait."""
    run = Run(bench.make.pop_any([["a", "b"]], 2))
    keys = [bench.keys.queue(name) for name in ("a", "b")]
    assert run.commands == [("MULTI",), ("BLPOP", *keys, 0), ("EXEC",)]
    assert len(set(run.homes)) == 1
    run.reply(b"OK", b"QUEUED", [[keys[0].encode(), message(FRESH)]])
    assert run.result == [Arrival("a", b"body", FRESH)]
    assert Run(bench.make.pop_any([["a"]], 1)).reply(b"OK", b"QUEUED", [None]).result == []


def test_no_queue_is_no_step(bench: Bench) -> None:
    """section 2.3."""
    assert Run(bench.make.pop_any([], 1)).result == []


# Groups: members


def test_a_plain_member_is_one_entry(bench: Bench) -> None:
    """R5: with the time to live of the whole group."""
    run = Run(bench.make.group_add("g", "plain"))
    key = bench.keys.group("g")
    assert run.commands == [("ZADD", key, NOW + GROUP_EXPIRY, "plain"), ("PEXPIRE", key, GROUP_TTL)]
    assert run.step.repeatable
    assert run.reply(1, 1).done
    run = Run(bench.make.group_discard("g", "plain"))
    assert run.commands == [("ZREM", key, "plain")]


def test_a_member_of_this_process_asks_nobody(bench: Bench) -> None:
    """section 8.1, 14: one step; and the process' own list, for whoever clears it away."""
    run = Run(bench.make.group_add("g", f"ws.{ME}!a"))
    assert run.verbs == ["ZADD", "PEXPIRE", "ZADD", "PEXPIRE", "SADD", "PEXPIRE"]
    assert run.commands[4] == ("SADD", bench.keys.groups_of(ME), f"g ws.{ME}!")
    assert run.homes == ["g"] * 4 + [ME] * 2
    assert run.reply(1, 1, 1, 1, 1, 1).done


@pytest.mark.parametrize("lease", [None, b"1800000015"])
def test_a_member_of_another_process_is_told_if_that_lives(bench: Bench, lease: bytes | None) -> None:
    """R9: the note goes into the queue, so that it keeps its place among the messages."""
    run = Run(bench.make.group_add("g", "ws.OTHER!a"))
    assert run.commands == [("ZSCORE", bench.keys.leases, "OTHER")]
    run.reply(lease)
    key = bench.keys.queue("ws.OTHER!")
    note = ("RPUSH", key, pack(NOW + EXPIRY, JOIN, "g", b"ws.OTHER!a"))
    owned = ("SADD", bench.keys.groups_of("OTHER"), "g ws.OTHER!")
    assert (note in run.commands) is (owned in run.commands) is (lease is not None)
    assert run.verbs[1::2] == ["PEXPIRE"] * (len(run.verbs) // 2)
    run = Run(bench.make.group_discard("g", "ws.OTHER!a")).reply(lease)
    assert run.commands[0] == ("ZREM", bench.keys.members("g", "ws.OTHER!"), "ws.OTHER!a")
    left = ("RPUSH", key, pack(NOW + EXPIRY, LEAVE, "g", b"ws.OTHER!a"))
    assert (left in run.commands) is (lease is not None)


def answered(bench: Bench, operation: Operation[Any], entries: dict[str, tuple[Any, list[bytes], Any]]) -> Run:
    """``operation`` on the group ``g`` of ``entries``: name -> (head of its queue, members, lease of its process)."""
    answers: dict[tuple[Any, ...], Any] = {
        ("ZRANGEBYSCORE", bench.keys.group("g")): [name.encode() for name in entries],
    }
    for name, (head, members, lease) in entries.items():
        answers["LRANGE", bench.keys.queue(name)] = [] if head is None else [head]
        answers["LINDEX", bench.keys.queue(name)] = head
        answers["ZRANGEBYSCORE", bench.keys.members("g", name)] = members
        answers["ZCOUNT", bench.keys.members("g", name)] = len(members)
        answers["ZSCORE", bench.keys.leases, home_of(name)] = lease
    run, ended = Run(operation), set()
    steps = 0
    while not run.done:
        steps += 1
        assert steps < 6, "as many steps as members, or more"
        ended |= {(command[1], command[2]) for command in run.commands if command[0] == "ZREM"}
        run.reply(*(answers.get(command[: 3 if command[0] == "ZSCORE" else 2], 1) for command in run.commands))
    run.ended = ended
    return run


LEASE = b"1800000015"

MEMBERS: dict[str, tuple[Any, list[bytes], Any]] = {
    "reads": (message(FRESH, "reads"), [], None),
    "silent": (message(OLD, "silent"), [], None),
    "dead!": (pack(OLD, GROUP, "g", b""), [b"dead!a", b"dead!b"], None),
    "busy!": (pack(OLD, GROUP, "g", b""), [b"busy!a"], LEASE),
    "mixed!": (message(OLD, "mixed!a"), [b"mixed!a", b"mixed!b"], None),
    f"own.{ME}!": (None, [f"own.{ME}!a".encode()], LEASE),
}


def test_members_are_told_without_those_of_this_process(bench: Bench) -> None:
    """section 2.4: who let a message expire unread is a member no more, unless its process lives."""
    run = answered(bench, bench.make.group_channels("g"), MEMBERS)
    assert sorted(run.result) == ["busy!a", "mixed!b", "reads"]
    assert run.ended == {
        (bench.keys.group("g"), "silent"),
        (bench.keys.members("g", "dead!"), "dead!a"),
        (bench.keys.members("g", "dead!"), "dead!b"),
        (bench.keys.members("g", "mixed!"), "mixed!a"),
    }


def test_members_are_counted_without_those_of_this_process(bench: Bench) -> None:
    """Group.count: the number of those that ``group_channels`` names."""
    assert answered(bench, bench.make.group_count("g"), MEMBERS).result == 3
    assert answered(bench, bench.make.group_count("g"), {}).result == 0


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x00" * 7 + b"\x01\x00\xffgarbage", b"\xff" * 20])
def test_garbage_in_a_members_queue_does_not_hide_the_members(bench: Bench, garbage: bytes) -> None:
    """R12 (C20): whoever asks who is in the group gets an answer."""
    members = {"plain": (garbage, [], None), "other!": (garbage, [b"other!a"], None)}
    assert sorted(answered(bench, bench.make.group_channels("g"), members).result) == ["other!a", "plain"]


def test_memberships_are_written_again_in_pieces(bench: Bench) -> None:
    """R5: after Redis lost them; a few hundred in one command, each with its time to live."""
    queue = f"ws.{ME}!"
    run = Run(bench.make.rejoin([("g", f"{queue}{number}") for number in range(CHUNK + 1)] + [("h", f"{queue}a")]))
    seen: list[tuple[str, int]] = []
    while not run.done:
        assert run.verbs == ["ZADD", "PEXPIRE", "ZADD", "PEXPIRE", "SADD", "PEXPIRE"]
        assert run.step.repeatable
        seen.append((run.homes[0], (len(run.commands[0]) - 2) // 2))
        run.reply(*[1] * 6)
    assert seen == [("g", CHUNK), ("g", 1), ("h", 1)]
    assert Run(bench.make.rejoin([])).done


# Later


def test_a_delayed_send_is_one_step(bench: Bench) -> None:
    """R1, R5: two equal ones are two."""
    runs = [Run(bench.make.send_later(MESSAGE, "a", b"body", 2.5)) for _ in range(2)]
    key = bench.keys.delayed
    for run in runs:
        (zadd, expire) = run.commands
        assert zadd[:3] == ("ZADD", key, NOW + 2.5)
        assert unpack(zadd[3][8:]) == Envelope(NOW + 2.5, MESSAGE, "a", b"body")
        assert expire == ("PEXPIRE", key, LONGEST_DELAY * 1000)
        assert run.homes == [DELAYED] * 2
        assert run.step.repeatable  # the same entry twice is one
    assert runs[0].commands[0][3] != runs[1].commands[0][3]


def delayed(name: str) -> bytes:
    return b"8 random" + pack(NOW, MESSAGE, name, b"body")


def test_what_is_due_is_claimed_before_it_is_sent(bench: Bench) -> None:
    """R2: of several processes that look at once, one sends it."""
    run = Run(bench.make.due())
    assert run.verbs == ["ZRANGEBYSCORE", "ZRANGEBYSCORE"]
    run.reply([delayed("mine"), delayed("theirs")], [b"later", b"1800000007.5"])
    assert run.commands == [("ZREM", bench.keys.delayed, delayed(name)) for name in ("mine", "theirs")]
    assert not run.step.repeatable
    run.reply(1, 0)
    assert run.result == ([Envelope(NOW, MESSAGE, "mine", b"body")], 1_800_000_007.5)


def test_nothing_is_due(bench: Bench) -> None:
    """R1: then looking is one step."""
    assert Run(bench.make.due()).reply([], []).result == ([], None)


def test_a_crowd_that_is_due_is_taken_in_pieces(bench: Bench) -> None:
    """style, habit 8: and the rest at once, not a second later."""
    run = Run(bench.make.due()).reply([delayed(f"a{number}") for number in range(CHUNK)], [])
    envelopes, coming = run.reply(*[1] * CHUNK).result
    assert (len(envelopes), coming) == (CHUNK, NOW)


def test_garbage_among_the_delayed_costs_only_itself(bench: Bench) -> None:
    """R12 (C20): what was claimed beside it is sent."""
    run = Run(bench.make.due()).reply([b"garbage", delayed("mine")], [])
    run.reply(1, 1)
    assert run.result == ([Envelope(NOW, MESSAGE, "mine", b"body")], None)


# Leases


def test_a_lease_is_renewed_and_the_clock_learned(bench: Bench) -> None:
    """R3, R5: one step; the answer says whether the lease had been taken away."""
    for added, kept in ((1, False), (0, True)):
        run = Run(bench.make.renew(NOW + 15))
        assert run.commands[0] == ("ZADD", bench.keys.leases, NOW + 15, ME)
        assert run.verbs == ["ZADD", "PEXPIRE", "TIME"]
        assert run.reply(added, 1, [b"1800000001", b"500000"]).result is kept
        assert bench.clock.learned == 1_800_000_001.5


def test_of_several_that_see_a_dead_process_one_clears_it_away(bench: Bench) -> None:
    """R2: who sets the claim first; never oneself."""
    run = Run(bench.make.lapsed(15.0)).reply([b"DEAD", ME.encode(), b"GONE"])
    assert [command[:3] for command in run.commands] == [
        ("SET", bench.keys.claim_of(name), ME) for name in ("DEAD", "GONE")
    ]
    assert all(command[3:] == ("NX", "PX", 15_000) for command in run.commands)
    assert not run.step.repeatable
    assert run.reply(b"OK", None).result == ["DEAD"]
    assert Run(bench.make.lapsed(15.0)).reply([ME.encode()]).result == []


def test_a_dead_process_is_cleared_away(bench: Bench) -> None:
    """R2: its memberships end, and each last will is taken before it is sent; its lease is ended last."""
    run = Run(bench.make.clear_away("DEAD"))
    assert run.commands == [("SMEMBERS", bench.keys.groups_of("DEAD"))]
    run.reply([b"g ws.DEAD!"])
    assert run.commands == [
        ("ZREM", bench.keys.group("g"), "ws.DEAD!"),
        ("UNLINK", bench.keys.members("g", "ws.DEAD!")),
    ]
    run.reply(1, 1)
    wills = bench.keys.wills_of("DEAD")
    assert run.commands[0][:2] == ("HSCAN", wills)
    will = pack(0, MESSAGE, "websocket.disconnect", b"body")
    run.reply([b"7", [b"ws.DEAD!a", will, b"ws.DEAD!b", will]])
    assert run.commands == [("HDEL", wills, b"ws.DEAD!a"), ("HDEL", wills, b"ws.DEAD!b")]
    assert not run.step.repeatable
    run.reply(1, 0)
    key = bench.keys.queue("websocket.disconnect")
    assert run.commands == [
        ("RPUSH", key, pack(NOW + EXPIRY, MESSAGE, "websocket.disconnect", b"body")),
        ("PEXPIRE", key, TTL),
    ]
    run.reply(1, 1)
    assert run.commands[0][:3] == ("HSCAN", wills, b"7")
    run.reply([b"0", []])
    assert run.commands == [
        ("ZREM", bench.keys.leases, "DEAD"),
        ("UNLINK", bench.keys.groups_of("DEAD")),
        ("UNLINK", wills),
    ]
    assert run.reply(1, 1, 1).result == 1


def test_a_last_will_that_is_garbage_costs_only_itself(bench: Bench) -> None:
    """R12 (C20): the other sockets of the dead process say their last words, and it is cleared away."""
    run = Run(bench.make.clear_away("DEAD")).reply([])
    will = pack(0, MESSAGE, "websocket.disconnect", b"body")
    run.reply([b"0", [b"ws.DEAD!a", b"garbage", b"ws.DEAD!b", will]]).reply(1, 1)
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    run.reply(1, 1)
    assert run.reply(1, 1, 1).result == 1


def test_last_wills_have_a_time_to_live(bench: Bench) -> None:
    """R5: like all else."""
    run = Run(bench.make.last_will(f"ws.{ME}!a", "websocket.disconnect", b"body"))
    assert run.verbs == ["HSET", "PEXPIRE"]
    assert Run(bench.make.forget_will(f"ws.{ME}!a")).verbs == ["HDEL"]
    assert Run(bench.make.keep_wills()).commands == [("PEXPIRE", bench.keys.wills_of(ME), GROUP_TTL)]


# All of it


def test_a_flush_scans(bench: Bench) -> None:
    """R14 (A10): step by step, and only its own keys."""
    run = Run(bench.make.flush("node"))
    assert (run.verbs, run.homes) == (["SCAN"], ["node"])
    assert run.commands[0][2:4] == ("MATCH", "rc:*")
    ours = bench.keys.queue("a").encode()
    run.reply([b"5", [ours, b"rc:other:queue:{h1}:a", bench.keys.leases.encode(), b"\xff"]])
    assert run.commands == [("UNLINK", ours)]
    run.reply(1)
    assert run.commands[0][:2] == ("SCAN", b"5")
    assert run.reply([b"0", []]).done


def test_a_flush_is_told_to_the_living(bench: Bench) -> None:
    """section 2.2: their own members are members no more."""
    run = Run(bench.make.tell_flush()).reply([b"OTHER", ME.encode()])
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    assert unpack(run.commands[0][2]).kind == FLUSH
    assert Run(bench.make.tell_flush()).reply([ME.encode()]).done


def drive_all(operation: Operation[Any]) -> list[list[tuple[Any, ...]]]:
    """The commands of each step, answered with 1 throughout."""
    run, steps = Run(operation), []
    while not run.done:
        steps.append(run.commands)
        run.reply(*[1] * len(run.step.calls))
    return steps


def ends_with_a_ttl(commands: Sequence[tuple[Any, ...]]) -> bool:
    """Whether every key these commands count into gets its time to live from them too."""
    written = {command[1] for command in commands if command[0] == "HINCRBY"}
    return written == {command[1] for command in commands if command[0] == "PEXPIRE"}


@pytest.mark.parametrize("queues", [1, 333, 700])
def test_counts_are_added_with_a_time_to_live(bench: Bench, queues: int) -> None:
    """R5: in each step, also where there are so many that they leave in several."""
    for number in range(queues):
        bench.counts.add(f"queue.{number}", "messages_count", 2)
        bench.counts.add(f"queue.{number}", "expired_count")
    steps = drive_all(bench.make.add_statistics())
    assert sum(command[0] == "HINCRBY" for step in steps for command in step) == 2 * queues + 2
    assert all(ends_with_a_ttl(step) for step in steps)
    assert drive_all(bench.make.add_statistics()) == []


def test_statistics_of_a_queue(bench: Bench) -> None:
    """section 2.8, A3: heads that have expired are neither pending nor asked for their age."""
    run = Run(bench.make.statistics("a"))
    assert (run.verbs, run.homes) == (["HGETALL"], [STATISTICS])
    run.reply([b"messages_count", b"7", b"unknown", b"1"])
    run.reply(12, [message(OLD)] * 10)
    assert run.commands[1][2] == 10
    run.reply(12, [message(NOW + 20), message(FRESH)])
    assert run.result == {
        **dict.fromkeys(COUNTED, 0),
        "messages_count": 7,
        "messages_pending": 2,
        "messages_max_age": EXPIRY - 20,
    }


def test_a_bell_rings_once(bench: Bench) -> None:
    """R5: what wakes a reader does not stay."""
    run = Run(bench.make.ring("h1", "bell"))
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    assert run.reply(1, 1).done


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "routechan")
