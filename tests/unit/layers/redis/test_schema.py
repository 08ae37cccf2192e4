"""Names of keys: where each lives, and which of them are a prefix' own."""

from __future__ import annotations

import bisect
import fnmatch
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers.redis.schema import HASH_TAGS, Keys, hash_tag_of, shard_of

queue_names = st.from_regex(r"[a-z.]{1,8}[?][a-z]{1,4}|[a-zA-Z0-9._-]{1,12}!?", fullmatch=True)
group_names = st.from_regex(r"[a-zA-Z0-9._-]{1,12}", fullmatch=True) | st.sampled_from(
    ["leases", "delayed", "statistics", "queue", "group", "members", "groups"]
)
prefixes = st.from_regex(r"[a-c*?\[:]{1,4}[a-c*]", fullmatch=True) | st.sampled_from(
    ["a", "a:group", "a:queue", "a:groups", "a:members", "a:wills", "a:group:a", "ab", "a*"]
)


def content_keys(keys: Keys, group: str, queue: str) -> list[str]:
    """Keys that hold messages, groups, delayed sends and counts."""
    return [
        keys.queue(queue),
        keys.group(group),
        keys.members(group, "process!"),
        keys.groups_of("process"),
        keys.delayed,
        keys.statistics(),
        keys.statistics(queue),
    ]


def other_keys(keys: Keys) -> list[str]:
    """Keys that a flush leaves: whose process lives, and what is to happen when it dies."""
    return [keys.leases, keys.wills_of("process"), keys.claim_of("process"), keys.wake_up("h1", "process:1")]


def tag_in(key: str) -> str:
    """What Redis Cluster hashes: what stands between the first braces."""
    found = re.search(r"\{([^}]+)\}", key)
    assert found is not None, f"{key} has no hash tag"
    return found[1]


@given(group_names, queue_names)
def test_every_key_has_its_tag_in_braces(group: str, queue: str) -> None:
    """R4: what decides the shard is what decides the slot, so that one command's keys are in one place."""
    keys = Keys("test")
    assert tag_in(keys.queue(queue)) == hash_tag_of(queue)
    assert tag_in(keys.group(group)) == group
    assert tag_in(keys.members(group, queue)) == group
    for key in (keys.groups_of("p"), keys.wills_of("p"), keys.claim_of("p")):
        assert tag_in(key) == "p"
    assert tag_in(keys.wake_up("h3", "p")) == "h3"
    assert (tag_in(keys.leases), tag_in(keys.delayed)) == ("leases", "delayed")
    assert tag_in(keys.statistics()) == tag_in(keys.statistics(queue)) == "statistics"


@given(prefixes, group_names, queue_names)
def test_a_flush_removes_content_and_nothing_else(prefix: str, group: str, queue: str) -> None:
    """section 2.2: messages, groups, delayed sends and counts go; leases, last wills, claims and wake-up keys stay."""
    keys = Keys(prefix)
    for key in content_keys(keys, group, queue):
        assert keys.is_content(key), key
    for key in other_keys(keys):
        assert not keys.is_content(key), key


@given(prefixes, prefixes, group_names, queue_names)
@example("a", "a:group", "group", "queue")
@example("a", "a:queue", "group", "queue")
@example("a", "a:groups", "group", "queue")
@example("a:group", "a", "leases", "queue")
def test_a_flush_removes_nothing_of_another_prefix(prefix: str, other: str, group: str, queue: str) -> None:
    """R14 (A10, C17): also where the other one begins with this one and a colon, or holds glob characters."""
    ours, theirs = Keys(prefix), Keys(other)
    if ours.prefix != theirs.prefix:
        for key in (*content_keys(theirs, group, queue), *other_keys(theirs)):
            assert not ours.is_content(key), key


@given(prefixes, group_names, queue_names)
def test_two_keys_are_never_one(prefix: str, group: str, queue: str) -> None:
    """R14: neither within a prefix nor of two prefixes of which one begins with the other."""
    every = [key for made in (prefix, prefix + ":group", prefix + "a") for key in _all(Keys(made), group, queue)]
    assert len(set(every)) == len(every)


def _all(keys: Keys, group: str, queue: str) -> list[str]:
    return [*content_keys(keys, group, queue), *other_keys(keys)]


@pytest.mark.parametrize(
    "key", ["a:queue:{h1}:b:c", "a:queue:h1:b", "a:group:{}", "a:other:{b}", "a", "a:", "xa:group:{b}"]
)
def test_what_is_no_key_of_ours_stays(key: str) -> None:
    """R14: other programs may use the same database."""
    assert not Keys("a").is_content(key)


@given(prefixes, queue_names)
def test_the_pattern_finds_every_key(prefix: str, queue: str) -> None:
    """R14: glob characters of a prefix stand for themselves. (Redis' escape is a backslash, fnmatch's a bracket.)"""
    keys = Keys(prefix)
    pattern = re.sub(r"\\(.)", lambda found: f"[{found[1]}]", keys.pattern)
    assert keys.pattern.endswith(":*")
    for key in content_keys(keys, "group", queue):
        assert fnmatch.fnmatchcase(key, pattern)
    assert not fnmatch.fnmatchcase("x" + keys.queue(queue), pattern)


@pytest.mark.parametrize(("prefix", "pattern"), [("a", "a:*"), ("a*", r"a\*:*"), ("a[b", r"a\[b:*"), ("a?", r"a\?:*")])
def test_glob_characters_are_escaped(prefix: str, pattern: str) -> None:
    """R14 (C17)."""
    assert Keys(prefix).pattern == pattern


def test_a_prefix_may_end_in_a_colon() -> None:
    """section 3.1: asgi_redis wrote ``asgi:``, channels_redis ``asgi``; it is one prefix."""
    assert Keys("asgi:").queue("a") == Keys("asgi").queue("a")


@pytest.mark.parametrize("prefix", ["", ":", "a b", "a{b", "a}b", "a\n", None, 5, b"asgi"])
def test_a_prefix_is_checked(prefix: Any) -> None:
    """style, habit 13: braces would be taken for a hash tag."""
    with pytest.raises(InvalidChannelLayerError, match="prefix is a str such as 'chat'"):
        Keys(prefix)


# Hash tags and shards


@pytest.mark.parametrize(
    ("queue", "hash_tag"),
    [
        ("websocket.send.abc.PROCESS!", "PROCESS"),
        ("specific.PROCESS!", "PROCESS"),
        ("process!", "process"),
        ("ends.in.dot.!", "ends.in.dot.!"),
    ],
)
def test_the_queues_of_a_process_are_with_it(queue: str, hash_tag: str) -> None:
    """R4: so that one blocking command reads them all."""
    assert hash_tag_of(queue) == hash_tag


@given(st.from_regex(r"[a-z.]{1,12}(\?[a-z]{1,4})?", fullmatch=True))
def test_normal_queues_share_a_few_hash_tags(queue: str) -> None:
    """R6: so that one blocking command waits for many of them."""
    assert hash_tag_of(queue) in set(HASH_TAGS)


def test_normal_queues_are_spread_over_all_hash_tags() -> None:
    """R4: by the whole name."""
    assert {hash_tag_of(f"queue.{number}") for number in range(500)} == set(HASH_TAGS)


@pytest.mark.parametrize("nodes", range(1, 17))
def test_hash_tags_spread_over_nodes_and_shards(nodes: int) -> None:
    """house: a Cluster whose slots are split into equal ranges has them evenly, give or take one; so have shards."""
    assert len(set(HASH_TAGS)) == 16
    for places in (
        Counter(key_slot(tag.encode()) * nodes // 16384 for tag in HASH_TAGS),
        # As redis-cli splits them: it rounds the bounds.
        Counter(bisect.bisect(bounds(nodes), key_slot(tag.encode())) for tag in HASH_TAGS),
        Counter(shard_of(tag, nodes) for tag in HASH_TAGS),
    ):
        counts = [places[node] for node in range(nodes)]
        assert sum(counts) == 16
        assert max(counts) - min(counts) <= 1


def bounds(nodes: int) -> list[int]:
    """The first slots of all nodes but the first."""
    return [round(16384 / nodes * node) for node in range(1, nodes)]


def test_hash_tags_are_the_same_in_every_process() -> None:
    """R4: sender and reader find each other, whatever their hash seed."""
    names = [f"queue.{number}" for number in range(20)] + ["a?b", "a.b!"]
    script = f"from routechan.layers.redis.schema import hash_tag_of; print([hash_tag_of(name) for name in {names!r}])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert found.strip() == repr([hash_tag_of(name) for name in names])


@pytest.mark.parametrize(
    ("value", "ring", "shard"),
    [
        ("key_one", 1, 0),
        ("key_two", 1, 0),
        ("key_one", 2, 1),
        ("key_two", 2, 0),
        ("key_one", 10, 6),
        ("key_two", 10, 4),
    ],
)
def test_the_shard_of_a_hash_tag(value: str, ring: int, shard: int) -> None:
    """item 103, R4: the formula of both older layers."""
    assert shard_of(value, ring) == shard


@given(st.text(min_size=1), st.integers(1, 300))
def test_a_shard_is_one_of_those_there_are(hash_tag: str, shards: int) -> None:
    """item 103: never one too many, whatever the name."""
    assert 0 <= shard_of(hash_tag, shards) < shards
