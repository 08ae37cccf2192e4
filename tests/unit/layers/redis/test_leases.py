"""Operations on processes: leases, last wills, and removing everything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from routechan.layers.envelope import FLUSH, MESSAGE
from routechan.layers.redis.commands.script import CHUNK, Script
from routechan.layers.redis.wire import Wire

from .bench import GROUP_EXPIRY, GROUP_TTL, ME, NOW, TTL, Bench, Run, pack

# Leases


def nobody(found: Sequence[tuple[str, str]]) -> Script[None]:
    """Nobody was said to read a channel."""
    yield from ()


def test_a_lease_is_renewed_and_the_clock_learned(bench: Bench) -> None:
    """R3, R5: one step; the answer says whether the lease had been taken away."""
    for added, kept in ((1, False), (0, True)):
        run = Run(bench.leases.renew(15.0))
        assert run.commands[0] == ("ZADD", bench.keys.leases, NOW + 15, ME)
        assert run.verbs == ["ZADD", "PEXPIRE", "ZSCORE", "TIME"]
        for cleared, when in ((None, None), (b"12.5", 12.5)):
            run = Run(bench.leases.renew(15.0)).reply(added, 1, cleared, [b"1800000001", b"500000"])
            assert run.result == (kept, when, frozenset())
        assert bench.clock.learned == 1_800_000_001.5


class Wills:
    """The last wills of a process that was cleared away at 12.5. Lifetime: test."""

    def __init__(self, cleared_at: float | None) -> None:
        self.cleared_at = cleared_at
        self.taken_back = {"ws.ME!taken"}

    def left(self) -> list[str]:
        return ["ws.ME!sent", "ws.ME!new", "ws.ME!taken"]


def test_who_was_cleared_away_takes_back_what_was_not_sent(bench: Bench) -> None:
    """A last will is sent by others or taken back, by whoever removes it; another renewal may have done so."""
    wills = Wills(None)
    run = Run(bench.leases.renew(15.0, wills)).reply(1, 1, b"12.5", [b"1800000001", b"500000"])
    assert run.commands == [("HDEL", bench.keys.wills_of(ME), channel) for channel in wills.left()]
    assert not run.step.repeatable
    assert run.reply(0, 1, 0).result == (False, 12.5, {"ws.ME!sent"})
    assert wills.taken_back == {"ws.ME!taken", "ws.ME!new"}
    for cleared in (b"12.5", None):  # it knows already, or was not
        run = Run(bench.leases.renew(15.0, Wills(12.5))).reply(0, 1, cleared, [b"1800000001", b"500000"])
        assert run.result == (True, cleared and 12.5, frozenset())


def test_a_look_around_reads_and_needs_what_renewals_need(bench: Bench) -> None:
    """A server that is full, read-only or paused for writers takes no renewal: then it must refuse the look too."""
    run = Run(bench.leases.look_around())
    assert run.verbs == ["ZADD", "PEXPIRE", "TIME", "ZRANGE"]
    assert run.commands[0] == ("ZADD", bench.keys.leases, "XX", 0, "")  # changes nothing
    assert run.step.repeatable
    look = run.reply(0, 1, [b"1800000001", b"500000"], [b"OTHER", b"12.5", ME.encode(), b"13"]).result
    assert (look.now, look.leases) == (1_800_000_001.5, {"OTHER": 12.5})
    assert look.asked <= look.told
    assert bench.clock.learned == 1_800_000_001.5


UNREADABLE = [b"\xff\xfe", b"", b"{x}", b"a?b!c", "é".encode(), b"x" * 200]


def test_names_that_cannot_be_read_stop_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """R12: somebody else wrote them among the leases, or what a dead process left; said once."""
    scored = [part for name in UNREADABLE for part in (name, b"1")]
    for _ in range(2):
        run = Run(bench.leases.look_around()).reply(0, 1, [b"1", b"0"], [*scored, b"OTHER", b"12.5"])
        assert run.result.leases == {"OTHER": 12.5}
    assert len(caplog.records) == 1
    assert f"Something in {bench.keys.leases}" in caplog.text
    run = Run(bench.leases.tell_flush()).reply([*UNREADABLE, b"OTHER"])
    assert [command[1] for command in run.commands[::2]] == [bench.keys.queue("specific.OTHER!")]
    run = Run(bench.messages.tell_due(0.1)).reply([*UNREADABLE, b"OTHER"])
    assert [command[1] for command in run.commands[::2]] == [bench.keys.queue("specific.OTHER!")]
    run = Run(bench.leases.clear_away("DEAD", nobody)).reply(1, 0, 1)
    run.reply([*UNREADABLE[:2], *(name + b" ws.DEAD!" for name in UNREADABLE), b"g ws.DEAD!"])
    assert run.commands[0] == ("ZREM", bench.keys.group("g"), "ws.DEAD!")
    assert len(run.commands) == 2


def test_of_several_that_see_a_dead_process_one_clears_it_away(bench: Bench) -> None:
    """R2: who sets the claim first; and only who is still dead."""
    dead = {"DEAD": 5.0, "GONE": 6.0, "BACK": 7.0, "LEFT": 8.0}
    run = Run(bench.leases.claim(dead, 15.0))
    assert run.commands[::2] == [("SET", bench.keys.claim_of(name), ME, "NX", "PX", 15_000) for name in dead]
    assert run.commands[1::2] == [("ZSCORE", bench.keys.leases, name) for name in dead]
    assert not run.step.repeatable
    assert run.reply(b"OK", b"5", None, b"6", b"OK", b"22", b"OK", None).result == ["DEAD"]


def test_a_dead_process_is_cleared_away(bench: Bench) -> None:
    """R2: its memberships end, and each last will is taken before it is sent; its lease is ended last."""
    run = Run(bench.leases.clear_away("DEAD", nobody))
    assert run.commands[0] == ("ZADD", bench.keys.cleared, NOW, "DEAD")
    assert run.commands[1] == ("ZREMRANGEBYSCORE", bench.keys.cleared, "-inf", NOW - 86_400)
    assert run.verbs[2:] == ["PEXPIRE"]
    run.reply(1, 0, 1)
    assert run.commands == [("SMEMBERS", bench.keys.groups_of("DEAD"))]
    run.reply([b"g ws.DEAD!"])
    assert run.commands == [
        ("ZREM", bench.keys.group("g"), "ws.DEAD!"),
        ("UNLINK", bench.keys.members("g", "ws.DEAD!")),
    ]
    run.reply(1, 1)
    wills = bench.keys.wills_of("DEAD")
    assert run.commands[0][:2] == ("HSCAN", wills)
    will = pack(MESSAGE, "websocket.disconnect", b"body", 0)
    run.reply([b"7", [b"ws.DEAD!a", will, b"ws.DEAD!b", will]])
    assert run.commands == [("HDEL", wills, b"ws.DEAD!a"), ("HDEL", wills, b"ws.DEAD!b")]
    assert not run.step.repeatable
    run.reply(1, 0)
    key = bench.keys.queue("websocket.disconnect")
    assert run.commands == [
        ("RPUSH", key, pack(MESSAGE, "websocket.disconnect")),
        ("PEXPIRE", key, TTL),
    ]
    run.reply(1, 1)
    assert run.commands[0][:3] == ("HSCAN", wills, b"7")
    run.reply([b"0", []])
    assert run.commands == [
        ("ZREM", bench.keys.leases, "DEAD"),
        ("UNLINK", bench.keys.groups_of("DEAD")),
        ("UNLINK", bench.keys.full_of("DEAD")),
    ]
    assert run.reply(1, 1, 0).result == 1


def test_a_last_will_that_is_garbage_costs_only_itself(bench: Bench) -> None:
    """R12 (C20): the other sockets of the dead process say their last words, and it is cleared away."""
    run = Run(bench.leases.clear_away("DEAD", nobody)).reply(1, 0, 1).reply([])
    will = pack(MESSAGE, "websocket.disconnect", b"body", 0)
    run.reply([b"0", [b"ws.DEAD!a", b"garbage", b"ws.DEAD!b", will]]).reply(1, 1)
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    run.reply(1, 1)
    assert run.reply(1, 1, 0).result == 1


def test_last_wills_have_a_time_to_live(bench: Bench) -> None:
    """R5: like all else."""
    wills = {f"ws.{ME}!{number}": ("websocket.disconnect", b"body") for number in range(CHUNK + 1)}
    run = Run(bench.leases.leave_wills(wills, list(wills)))
    key = bench.keys.wills_of(ME)
    assert run.verbs == ["HSET", "PEXPIRE"]
    will = pack(MESSAGE, "websocket.disconnect", b"body", NOW + GROUP_EXPIRY)
    assert run.commands[0][:4] == ("HSET", key, f"ws.{ME}!0", will)
    assert run.commands[1] == ("PEXPIRE", key, GROUP_TTL)
    run.reply(CHUNK, 1)
    assert run.commands[0] == ("HSET", key, f"ws.{ME}!{CHUNK}", will)
    assert run.reply(1, 1).done
    assert Run(bench.leases.forget_will(f"ws.{ME}!a")).verbs == ["HDEL"]


def test_a_last_will_that_was_taken_back_meanwhile_is_not_left(bench: Bench) -> None:
    """R2: the socket closed in order while the operation waited for its turn."""
    wills = {f"ws.{ME}!a": ("websocket.disconnect", b"body")}
    operation = bench.leases.leave_wills(wills, list(wills))
    wills.clear()
    assert Run(operation).done


# All of it


def test_a_flush_scans(bench: Bench) -> None:
    """R14 (A10): step by step, and only its own keys."""
    run = Run(bench.leases.flush("node"))
    assert (run.verbs, run.tags) == (["SCAN"], ["node"])
    assert run.commands[0][2:4] == ("MATCH", "rc:*")
    ours = bench.keys.queue("a").encode()
    run.reply([b"5", [ours, b"rc:other:queue:{h1}:a", bench.keys.leases.encode(), b"\xff"]])
    assert run.commands == [("UNLINK", ours)]
    run.reply(1)
    assert run.commands[0][:2] == ("SCAN", b"5")
    assert run.reply([b"0", []]).done


def test_a_flush_is_told_to_the_living(bench: Bench) -> None:
    """section 2.2: their own members are members no more."""
    run = Run(bench.leases.tell_flush()).reply([b"OTHER", ME.encode()])
    assert run.verbs == ["RPUSH", "PEXPIRE"]
    assert Wire().unpack(run.commands[0][2]).kind == FLUSH
    assert Run(bench.leases.tell_flush()).reply([ME.encode()]).done
