"""Operations on groups: members in two levels, and messages to all of them."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.exceptions import TooManyGroups
from routechan.layers.envelope import GROUP, JOIN, LEAVE, MESSAGE
from routechan.layers.redis.commands.script import CHUNK, Operation
from routechan.layers.redis.schema import LEASES, hash_tag_of

from .bench import FRESH, GROUP_EXPIRY, GROUP_TTL, ME, NOW, OLD, TTL, Bench, Run, message, pack

# Groups: sending


def sent_to_group(bench: Bench, *entries: str) -> Run:
    run = Run(bench.groups.send("g", b"body"))
    assert run.commands == [("ZRANGEBYSCORE", bench.keys.group("g"), NOW, "+inf")]
    assert run.step.repeatable
    return run.reply([entry.encode() for entry in entries])


def test_a_group_send_is_two_steps(bench: Bench) -> None:
    """R9: one to read the members, one that reaches them all; the body once for each process."""
    run = sent_to_group(bench, "plain", "process!", f"websocket.{ME}!")
    plain, process = bench.keys.queue("plain"), bench.keys.queue("process!")
    assert run.commands == [
        ("LINDEX", plain, 0),
        ("RPUSH", plain, pack(MESSAGE, "plain")),
        ("PEXPIRE", plain, TTL),
        ("RPUSH", process, pack(GROUP, "g")),
        ("PEXPIRE", process, TTL),
    ]
    assert run.tags == [hash_tag_of("plain")] * 3 + ["process"] * 2
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
    assert run.tags == [LEASES]
    run.reply(lease)
    if lease is None:
        assert run.commands == [
            ("ZREM", bench.keys.group("g"), "process!"),
            ("UNLINK", bench.keys.members("g", "process!")),
        ]
        run.reply(1, 1)
    assert run.done
    assert bench.counted() == {"messages_count": 1, "expired_count": 1}


# Groups: members


def test_a_plain_member_is_one_entry(bench: Bench) -> None:
    """R5: with the time to live of the whole group."""
    run = Run(bench.groups.add("g", "plain"))
    key = bench.keys.group("g")
    assert run.commands == [("ZADD", key, NOW + GROUP_EXPIRY, "plain"), ("PEXPIRE", key, GROUP_TTL)]
    assert run.step.repeatable
    assert run.reply(1, 1).done
    run = Run(bench.groups.discard("g", "plain"))
    assert run.commands == [("ZREM", key, "plain")]


def test_a_member_of_this_process_asks_nobody(bench: Bench) -> None:
    """section 8.1, 14: one step; and the process' own list, for whoever clears it away."""
    run = Run(bench.groups.add_own("g", f"ws.{ME}!a"))
    assert run.verbs == ["ZADD", "PEXPIRE", "ZADD", "PEXPIRE", "SADD", "PEXPIRE"]
    assert run.commands[4] == ("SADD", bench.keys.groups_of(ME), f"g ws.{ME}!")
    assert run.tags == ["g"] * 4 + [ME] * 2
    assert run.reply(1, 1, 1, 1, 1, 1).done


@pytest.mark.parametrize("lease", [None, b"1800000015"])
def test_a_member_of_another_process_is_told_if_that_lives(bench: Bench, lease: bytes | None) -> None:
    """R9: the note goes into the queue, so that it keeps its place among the messages."""
    run = Run(bench.groups.add("g", "ws.OTHER!a"))
    assert run.commands == [("ZSCORE", bench.keys.leases, "OTHER")]
    run.reply(lease)
    key = bench.keys.queue("ws.OTHER!")
    note = ("RPUSH", key, pack(JOIN, "g", b"ws.OTHER!a"))
    owned = ("SADD", bench.keys.groups_of("OTHER"), "g ws.OTHER!")
    assert (note in run.commands) is (owned in run.commands) is (lease is not None)
    assert run.verbs[1::2] == ["PEXPIRE"] * (len(run.verbs) // 2)
    run = Run(bench.groups.discard("g", "ws.OTHER!a")).reply(lease)
    assert run.commands[0] == ("ZREM", bench.keys.members("g", "ws.OTHER!"), "ws.OTHER!a")
    left = ("RPUSH", key, pack(LEAVE, "g", b"ws.OTHER!a"))
    room = ("ZREM", bench.keys.full_of("OTHER"), "ws.OTHER!a")
    assert (left in run.commands) is (room in run.commands) is (lease is not None)


@pytest.mark.parametrize(("added", "full", "refused"), [(1, b"5", True), (0, b"5", False), (1, None, False)])
def test_a_member_of_another_process_that_is_full(bench: Bench, added: int, full: bytes | None, refused: bool) -> None:
    """TooManyGroups: without a round trip for it, and for a new group only; its process takes the membership back."""
    run = Run(bench.groups.add("g", "ws.OTHER!a")).reply(b"1800000015")
    assert run.commands[-1] == ("ZSCORE", bench.keys.full_of("OTHER"), "ws.OTHER!a")
    replies = (added, *[1] * (len(run.commands) - 2), full)
    if refused:
        with pytest.raises(TooManyGroups, match=r"'ws.OTHER!a' is a member of 1000 groups, .* to join 'g' too"):
            run.reply(*replies)
    else:
        assert run.reply(*replies).done


@pytest.mark.parametrize("last", [True, False])
def test_a_membership_is_taken_back(bench: Bench, last: bool) -> None:
    """TooManyGroups: others are told first, so that the next one fails at once; with a time to live, like all else."""
    full, channel = bench.keys.full_of(ME), f"ws.{ME}!a"
    run = Run(bench.groups.take_back("g", channel, last))
    assert run.commands == [("ZADD", full, NOW, channel), ("PEXPIRE", full, GROUP_TTL)]
    run.reply(1, 1)
    if last:
        assert run.commands[0] == ("ZREM", bench.keys.group("g"), f"ws.{ME}!")
    else:
        assert run.commands[0] == ("ZREM", bench.keys.members("g", f"ws.{ME}!"), channel)
    assert run.reply(*[1] * len(run.commands)).done
    assert Run(bench.groups.has_room(channel)).commands == [("ZREM", full, channel)]


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
        answers["ZSCORE", bench.keys.leases, hash_tag_of(name)] = lease
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
    "dead!": (pack(GROUP, "g", b"", OLD), [b"dead!a", b"dead!b"], None),
    "busy!": (pack(GROUP, "g", b"", OLD), [b"busy!a"], LEASE),
    "mixed!": (message(OLD, "mixed!a"), [b"mixed!a", b"mixed!b"], None),
    f"own.{ME}!": (None, [f"own.{ME}!a".encode()], LEASE),
}


def test_members_are_told_without_those_of_this_process(bench: Bench) -> None:
    """section 2.4: who let a message expire unread is a member no more, unless its process lives."""
    run = answered(bench, bench.groups.channels("g"), MEMBERS)
    assert sorted(run.result) == ["busy!a", "mixed!b", "reads"]
    assert run.ended == {
        (bench.keys.group("g"), "silent"),
        (bench.keys.members("g", "dead!"), "dead!a"),
        (bench.keys.members("g", "dead!"), "dead!b"),
        (bench.keys.members("g", "mixed!"), "mixed!a"),
    }


def test_members_are_counted_without_those_of_this_process(bench: Bench) -> None:
    """Group.count: the number of those that ``group_channels`` names."""
    assert answered(bench, bench.groups.count("g"), MEMBERS).result == 3
    assert answered(bench, bench.groups.count("g"), {}).result == 0


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x01\x00" + b"\x00" * 7 + b"\x01\xffgarbage", b"\xff" * 20])
def test_garbage_in_a_members_queue_does_not_hide_the_members(bench: Bench, garbage: bytes) -> None:
    """R12 (C20): whoever asks who is in the group gets an answer."""
    members = {"plain": (garbage, [], None), "other!": (garbage, [b"other!a"], None)}
    assert sorted(answered(bench, bench.groups.channels("g"), members).result) == ["other!a", "plain"]


def test_memberships_are_written_again_in_pieces(bench: Bench) -> None:
    """R5: after Redis lost them; a few hundred in one command, each with its time to live."""
    queue = f"ws.{ME}!"
    run = Run(bench.groups.rejoin([("g", f"{queue}{number}") for number in range(CHUNK + 1)] + [("h", f"{queue}a")]))
    seen: list[tuple[str, int]] = []
    while not run.done:
        assert run.verbs == ["ZADD", "PEXPIRE", "ZADD", "PEXPIRE", "SADD", "PEXPIRE"]
        assert run.step.repeatable
        seen.append((run.tags[0], (len(run.commands[0]) - 2) // 2))
        run.reply(*[1] * 6)
    assert seen == [("g", CHUNK), ("g", 1), ("h", 1)]
    assert Run(bench.groups.rejoin([])).done


def test_what_the_driver_has_to_know(bench: Bench) -> None:
    """R9: which operations may read ahead, and which change what is read ahead."""
    groups = bench.groups
    own, other, plain = f"ws.{ME}!a", "ws.OTHER!a", "plain"
    known = {
        (operation.reads_first, operation.changes_membership): None
        for operation in (groups.send("g", b""), groups.channels("g"), groups.count("g"))
    }
    assert list(known) == [(True, False)]
    for operation, reads_first in (
        (groups.add("g", other), True),
        (groups.add("g", plain), False),
        (groups.add_own("g", own), False),
        (groups.add_another("g", own), False),
        (groups.discard("g", other), True),
        (groups.discard("g", plain), False),
        (groups.discard_own("g", own), False),
        (groups.discard_queue(["g"], f"ws.{ME}!"), False),
        (groups.rejoin([("g", own)]), False),
    ):
        assert (operation.reads_first, operation.changes_membership, operation.batch_key) == (reads_first, True, None)
