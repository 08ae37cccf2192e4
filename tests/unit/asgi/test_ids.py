"""Ids: what they say, what they cost, and what nobody can make up."""

from __future__ import annotations

import re

import pytest

from routechan.asgi.ids import LONGEST, Ids
from routechan.layers.claims import UNKNOWN, Claims, tag_of
from routechan.layers.history import Position, position_text

AT: Position = (1764547200123, 0)


def id_of(ids: Ids, *groups: tuple[str, Position], partial: bool = False) -> str:
    return ids.write((partial, tuple((tag_of(group, ids.tag_keys[0]), at) for group, at in groups)))


def taken(claims: Claims, *groups: str) -> list[str | None]:
    return [claims.take(group) for group in groups]


@pytest.fixture
def ids() -> Ids:
    return Ids(["the secret"], 300.0)


def test_an_id_says_positions(ids: Ids) -> None:
    """What is written is read again: earlier and later ones, with numbers, however far apart."""
    at = {"a": AT, "b": (AT[0] - 90_000_000, 3), "c": (AT[0] + 1, 2**63), "d": (1, 0)}
    text = id_of(ids, *at.items())
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    claims = ids.read(text)
    assert taken(claims, *at, "e") == [*map(position_text, at.values()), None]
    assert not claims.partial


def test_an_id_is_short_and_shows_no_names(ids: Ids) -> None:
    """One group takes 34 characters; the tag of a name depends on the secret."""
    assert len(id_of(ids, ("chat-7", AT))) <= 34
    assert tag_of("chat-7", ids.tag_keys[0]) != tag_of("chat-7", Ids(["another"], 300.0).tag_keys[0])


@pytest.mark.parametrize("text", ["", "x", "!", "AAAA", "A" * 4001, "kQGT_2x9", "\u00e9", "AQ=="])
def test_what_is_no_id(ids: Ids, text: str) -> None:
    """Its client may have missed anything: each group is a gap, once."""
    claims = ids.read(text)
    assert claims.partial
    assert taken(claims, "a", "b", "a") == [UNKNOWN, UNKNOWN, None]


def test_an_id_that_was_changed(ids: Ids) -> None:
    """No character can be another one, and none can be missing."""
    text = id_of(ids, ("chat-7", AT))
    for at in range(len(text) - 1):  # of the last one some bits mean nothing
        assert ids.read(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]).partial
        assert ids.read(text[:at]).partial


def test_secrets_are_changed_one_after_the_other() -> None:
    """A server reads ids of its former secret, writes with the new one, and keeps what nobody has claimed."""
    old, new, foreign = Ids(["old"], 300.0), Ids(["new", b"old"], 300.0), Ids(["foreign"], 300.0)
    text = id_of(old, ("a", AT), ("b", AT))
    claims = new.read(text)
    assert claims.take("a") == position_text(AT)
    claims.settle("a")
    again = new.read(new.write((False, tuple(claims.left()))))
    assert taken(again, "a", "b") == [None, position_text(AT)]
    assert foreign.read(text).partial
    assert old.read(id_of(new, ("a", AT))).partial
    assert not Ids([], 300.0).read(id_of(Ids([], 300.0), ("a", AT))).take("a")  # without a secret, each has its own


def test_a_socket_in_more_groups_than_fit(ids: Ids) -> None:
    """The id keeps within its bound and has the groups that said something last; the others are gaps."""
    at = {f"group-{number}": (AT[0] + number * 100_000_000, 2**62) for number in range(500)}
    text = id_of(ids, *at.items())
    assert len(text) <= LONGEST
    claims = ids.read(text)
    assert claims.partial
    assert taken(claims, "group-499", "group-0") == [position_text(at["group-499"]), UNKNOWN]


def test_claims_end(monkeypatch: pytest.MonkeyPatch, ids: Ids) -> None:
    """Nothing is claimed any more when the longest history is over, and ids are free of it."""
    claims = ids.read(id_of(ids, ("a", AT), partial=True))
    monkeypatch.setattr("routechan.layers.claims.time.monotonic", lambda: 10.0**12)
    assert taken(claims, "a", "b") == [None, None]
    assert (claims.left(), claims.partial, claims.header()) == ([], False, None)
