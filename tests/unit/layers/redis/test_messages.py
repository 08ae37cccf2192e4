"""Operations on queues: what leaves together, and what a reply means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routechan.exceptions import ChannelFull
from routechan.layers.envelope import DUE, FLUSH, GROUP, JOIN, LEAVE, MESSAGE
from routechan.layers.options import CHANNEL_BYTES, LARGE, LONGEST_DELAY
from routechan.layers.redis.commands.script import CHUNK, KEY_BY_KEY, Operation
from routechan.layers.redis.schema import DELAYED, STATISTICS, hash_tag_of, process_queue
from routechan.layers.redis.wire import Wire, expires_of
from routechan.layers.statistics import COUNTED

from .bench import EXPIRY, FRESH, LATEST, ME, NOW, OLD, TTL, Bench, Run, arrival, message, pack

# Sending

#: Where a pop leaves the places that it is not at.
left: list[Any] = []


def test_a_send_is_one_step(bench: Bench) -> None:
    """R1, R5: append and time to live leave together; the length in the reply is the capacity check."""
    run = bench.send("process!a")
    key = bench.keys.queue("process!")
    assert run.commands == [
        ("RPUSH", key, pack(MESSAGE, "process!a")),
        ("PEXPIRE", key, TTL),
    ]
    assert set(run.tags) == {hash_tag_of("process!")}
    assert not run.step.repeatable
    assert run.reply(3, 1).done
    assert bench.counted("process!") == {"messages_count": 1}


def test_a_large_send_asks_first(bench: Bench) -> None:
    """channel_bytes: so that no large message travels in vain; it may read ahead, and keeps its place among others."""
    large = bench.messages.send("a", "a", b"x" * (LARGE + 1))
    assert large.reads_first
    assert not bench.messages.send("a", "a", b"x" * LARGE).reads_first
    run, key = Run(large), bench.keys.queue("a")
    assert run.commands == [("MEMORY", "USAGE", key, "SAMPLES", 0)]
    assert run.step.repeatable
    other = Run(bench.messages.send("a", "a", b"x" * (LARGE + 1)))
    run.reply(CHANNEL_BYTES - LARGE - 1)
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    with pytest.raises(ChannelFull, match=f"more than {CHANNEL_BYTES} bytes"):  # the first is on its way
        other.reply(CHANNEL_BYTES - LARGE - 1)
    assert run.reply(1, 1).done
    assert Run(bench.messages.send("a", "a", b"x" * (LARGE + 1))).reply(None).verbs == ["RPUSH", "PEXPIRE"]
    assert bench.counted() == {"messages_count": 1, "channel_full_count": 1}


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
        left = [data for data in queue if expires_of(data) >= NOW]
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


# Receiving


def test_a_receive_is_one_step(bench: Bench) -> None:
    """R1, R2: the pop is the delivery."""
    run = Run(bench.messages.pop("process!"))
    assert run.commands == [("LPOP", bench.keys.queue("process!"))]
    assert run.reply(message(FRESH, "process!a")).result == [arrival("process!a")]


def test_nothing_there(bench: Bench) -> None:
    """R1: and that is known after one step."""
    assert Run(bench.messages.pop("a")).reply(None).result == []


def test_expired_and_foreign_messages_are_passed_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R3 (C3), R12 (C20): counted, and the next one is fetched."""
    run = Run(bench.messages.pop("a"))
    for data in (message(OLD), b"garbage", message(NOW - 0.001)):
        run.reply(data)
        assert run.verbs == ["LPOP"]
    assert run.reply(message(NOW)).result == [arrival("a", NOW)]
    assert bench.counted("a") == {"expired_count": 2, "dropped_count": 1}
    assert "A message in rc:queue:" in caplog.text


def test_a_group_message_meets_the_members_of_its_queue(bench: Bench) -> None:
    """R9: as of when it is read; without members it is nothing."""
    run = Run(bench.messages.pop("process!")).reply(pack(GROUP, "g", b"body", FRESH))
    assert run.commands == [("ZRANGEBYSCORE", bench.keys.members("g", "process!"), NOW, "+inf")]
    run.reply([])
    assert run.verbs == ["LPOP"]
    run.reply(pack(GROUP, "g", b"body", FRESH)).reply([b"process!a", b"process!b"])
    assert run.result == [arrival("process!a"), arrival("process!b")]


@pytest.mark.parametrize("kind", [JOIN, LEAVE, FLUSH, 99])
def test_notes_are_for_processes(bench: Bench, kind: int) -> None:
    """R12: what only a serving process understands, another one that reads the queue passes over."""
    run = Run(bench.messages.pop("process!")).reply(pack(kind, "g", b"process!a", FRESH))
    assert run.reply(None).result == []


def test_one_command_reads_several_queues(bench: Bench) -> None:
    """R6: all queues of one place; then those of the next."""
    bench.newer = True
    run = Run(bench.messages.pop_any([["a", "b"], ["process!"]], 2, left.append))
    keys = [bench.keys.queue(name) for name in ("a", "b", "process!")]
    assert run.commands == [("LMPOP", 2, *keys[:2], "LEFT", "COUNT", 2)]
    run.reply([keys[1].encode(), [message(OLD, "b")]])
    assert run.commands == [("LMPOP", 2, *keys[:2], "LEFT", "COUNT", 2)]
    run.reply(None)
    assert run.commands == [("LPOP", keys[2], 2)]
    run.reply([message(FRESH, "process!a"), message(OLD), message(FRESH, "process!b")])
    assert run.result == [arrival("process!a"), arrival("process!b")]
    assert bench.counted("process!") == {"expired_count": 1}
    assert bench.counted("b") == {"expired_count": 1}


def test_one_command_reads_several_queues_on_an_older_server(bench: Bench) -> None:
    """R6: Redis 6.2 knows no LMPOP; in a transaction its BLPOP does not wait."""
    run = Run(bench.messages.pop_any([["a", "b"]], 2, left.append))
    keys = [bench.keys.queue(name) for name in ("a", "b")]
    assert run.commands == [("MULTI",), ("BLPOP", *keys, 0), ("EXEC",)]
    assert len(set(run.tags)) == 1
    run.reply(b"OK", b"QUEUED", [[keys[0].encode(), message(FRESH)]])
    assert run.result == [arrival("a")]
    assert Run(bench.messages.pop_any([["a", "b"]], 1, left.append)).reply(b"OK", b"QUEUED", [None]).result == []
    assert Run(bench.messages.pop_any([["a"]], 1, left.append)).reply(None).result == []


@pytest.mark.parametrize("newer", [True, False])
def test_keys_that_may_be_moving_are_asked_for_one_by_one(bench: Bench, newer: bool) -> None:
    """R6: no server executes a command with several keys of a slot that moves key by key."""
    bench.newer = newer
    run = Run(bench.messages.pop_any([["a", "b"]], 2, left.append))
    run.reply(*[KEY_BY_KEY] * len(run.commands))
    assert run.commands == [("LPOP", bench.keys.queue("a"), 2)]
    run.reply(None)
    assert run.commands == [("LPOP", bench.keys.queue("b"), 2)]
    run.reply([message(FRESH, "b")])
    assert run.result == [arrival("b")]


def test_no_queue_is_no_step(bench: Bench) -> None:
    """section 2.3."""
    assert Run(bench.messages.pop_any([], 1, left.append)).result == []


def test_places_behind_one_that_holds_it_up_are_left_to_others(bench: Bench) -> None:
    """R6: a server that hangs holds up only what goes to it; when it answers, the operation is done."""
    left.clear()
    operation = bench.messages.pop_any([["a"], ["b"], ["c"]], 1, left.append)
    run = Run(operation).reply(None)
    for _ in range(2):
        operation.held_up()
    assert left == [[["c"]]]
    again = Run(operation).reply(None)  # it was not executed, and is tried again from the start
    assert again.commands == [("LPOP", bench.keys.queue("b"), 1)]
    assert again.reply(None).result == run.reply(None).result == []


# Later


def test_a_delayed_send_is_one_step(bench: Bench) -> None:
    """R1, R5: two equal ones are two."""
    runs = [Run(bench.messages.send_later(MESSAGE, "a", b"body", b"", 2.5)) for _ in range(2)]
    key, members = bench.keys.delayed, set()
    for run in runs:
        (zadd, expire) = run.commands
        assert zadd[:3] == ("ZADD", key, NOW + LATEST + 2.5)
        assert Wire().unpack(zadd[3][8:]) == arrival("a", NOW + LATEST + 2.5)
        assert expire == ("PEXPIRE", key, LONGEST_DELAY * 1000)
        assert run.tags == [DELAYED] * 2
        assert not run.step.repeatable  # R2: in doubt, it may be kept and even sent already
        assert run.reply(1, 1).result is None
        members.add(zadd[3])
    assert len(members) == 2


def test_what_is_due_soon_is_told_to_two_others(bench: Bench) -> None:
    """R3: none of them would look in time by himself, and the sender may end before."""
    run = Run(bench.messages.tell_due(0.5))
    assert run.verbs == ["ZRANGEBYSCORE"]
    run.reply([ME.encode(), b"A", b"B", b"C"])
    assert run.verbs == ["RPUSH", "PEXPIRE"] * 2
    told = [command for command in run.commands if command[0] == "RPUSH"]
    assert len({command[1] for command in told}) == 2
    for _, key, data in told:
        assert key in {bench.keys.queue(process_queue(process)) for process in "ABC"}
        assert (envelope := Wire().unpack(data)).kind == DUE
        assert float(envelope.body) == NOW + LATEST + 0.5


def test_nobody_is_told_where_nobody_else_is(bench: Bench) -> None:
    """R1: then it is one step."""
    run = Run(bench.messages.tell_due(0.5)).reply([ME.encode()])
    assert run.result is None


def delayed(name: str) -> bytes:
    return b"8 random" + pack(MESSAGE, name, b"body", NOW)


def test_what_is_due_is_claimed_before_it_is_sent(bench: Bench) -> None:
    """R2: of several processes that look at once, one sends it."""
    run = Run(bench.messages.due())
    assert run.verbs == ["ZRANGEBYSCORE", "ZRANGEBYSCORE"]
    run.reply([delayed("mine"), delayed("theirs")], [b"later", b"1800000007.5"])
    assert run.commands == [("ZREM", bench.keys.delayed, delayed(name)) for name in ("mine", "theirs")]
    assert not run.step.repeatable
    run.reply(1, 0)
    assert run.result == ([arrival("mine", NOW)], 1_800_000_007.5)


def test_nothing_is_due(bench: Bench) -> None:
    """R1: then looking is one step."""
    assert Run(bench.messages.due()).reply([], []).result == ([], None)


def test_a_crowd_that_is_due_is_taken_in_pieces(bench: Bench) -> None:
    """style, habit 8: and the rest at once, not a second later."""
    run = Run(bench.messages.due()).reply([delayed(f"a{number}") for number in range(CHUNK)], [])
    envelopes, coming = run.reply(*[1] * CHUNK).result
    assert (len(envelopes), coming) == (CHUNK, NOW)


def test_garbage_among_the_delayed_costs_only_itself(bench: Bench) -> None:
    """R12 (C20): what was claimed beside it is sent."""
    run = Run(bench.messages.due()).reply([b"garbage", delayed("mine")], [])
    run.reply(1, 1)
    assert run.result == ([arrival("mine", NOW)], None)


# Counting


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
    steps = drive_all(bench.counting.add_statistics())
    assert sum(command[0] == "HINCRBY" for step in steps for command in step) == 2 * queues + 2
    assert all(ends_with_a_ttl(step) for step in steps)
    assert drive_all(bench.counting.add_statistics()) == []


def test_statistics_of_a_queue(bench: Bench) -> None:
    """section 2.8, A3: heads that have expired are neither pending nor asked for their age."""
    run = Run(bench.counting.statistics("a"))
    assert (run.verbs, run.tags) == (["HGETALL"], [STATISTICS])
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
    run = Run(bench.messages.wake_up("h1", "wake"))
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    assert run.reply(1, 1).done
