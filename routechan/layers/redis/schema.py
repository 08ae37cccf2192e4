"""The names of the keys in Redis, and the hash tag of each.

::

    <prefix>:queue:{tag}:<queue>              list    messages, oldest first
    <prefix>:history:{group}                  stream  messages to a group, where it keeps a history
    <prefix>:group:{group}                    zset    queues and plain channels; score: when the membership ends
    <prefix>:members:{group}:<queue>          zset    a group's channels in one queue; score likewise
    <prefix>:present:{group}                  hash    channel -> who reads it, where that was said
    <prefix>:sockets:{group}                  zset    "person channel" for each of these, by name; score: 0
    <prefix>:joined:{group}                   zset    persons who have joined, and have not left; score: by what
    <prefix>:wanted:{leases}                  zset    "group.join", "group.leave"; score: until when consumers want them
    <prefix>:leases:{leases}                  zset    living processes; score: until when
    <prefix>:cleared:{leases}                 zset    processes that were cleared away; score: when
    <prefix>:groups:{process}                 set     "group queue" for each membership of a process
    <prefix>:full:{process}                   zset    channels in as many groups as they may be; score: when last told
    <prefix>:wills:{process}                  hash    channel -> the message to send, and where, if the process dies
    <prefix>:claim:{process}                  string  the process that clears a dead one away
    <prefix>:wake:{tag}:<process>             list    wakes a reader that waits for other queues than it should
    <prefix>:delayed:{delayed}                zset    delayed sends; score: when they are due
    <prefix>:statistics:{statistics}, ...:<queue>  hash    counts, in all and of one queue
    <prefix>:permits:{tag}:<key>              hash    permits that were taken, where a rate holds over all processes

The part in braces is the *hash tag*: it decides the shard, and in a Redis Cluster the slot. The hash tag of a
process-specific queue is its process, so that one blocking command reads all queues of a process; other queues share a
few hash tags, so that one blocking command waits for many of them.
"""

from __future__ import annotations

import functools
import re
from zlib import crc32

from ...exceptions import InvalidChannelLayerError

#: The hash tags of normal channels: part of what processes must agree on. Number i is the first ``h<number>`` whose
#: slot lies within 24 of the middle of the i-th sixteenth of a Cluster's 16384 slots, and whose place on the ring of
#: shards within 8 of the middle of the i-th sixteenth of its 4096. So 1 to 16 nodes get as many of them each, give or
#: take one, as long as slots are split into equal ranges.
HASH_TAGS = (
    "h21626", "h37162", "h96378", "h125432", "h143836", "h48789", "h281919", "h52106",
    "h39684", "h4907", "h113542", "h189722", "h180791", "h49748", "h618449", "h30637",
)  # fmt: skip

#: The places of sealed envelopes: a queue's name, or one of these, which no queue can have.
DELAYED_PLACE = "delayed sends"


def history_place(group: str) -> str:
    """The place of an entry in the history of ``group``."""
    return f"history {group}"


def will_place(process: str, channel: str) -> str:
    """The place of the last will that ``process`` leaves for ``channel``."""
    return f"will {process} {channel}"


def who_place(group: str) -> str:
    """The place of what says who reads a channel in ``group``."""
    return f"who {group}"


LEASES = "leases"
DELAYED = "delayed"
STATISTICS = "statistics"


@functools.lru_cache(maxsize=4096)
def hash_tag_of(queue: str) -> str:
    """The hash tag of ``queue``, which decides on which server the queue lives."""
    if queue.endswith("!"):
        return queue[queue.rfind(".") + 1 : -1] or queue
    return HASH_TAGS[crc32(queue.encode()) % len(HASH_TAGS)]


def process_queue(process: str) -> str:
    """The queue that the serving process ``process`` reads, whatever channels it has."""
    return f"specific.{process}!"


def shard_of(hash_tag: str, shards: int) -> int:
    """Which of ``shards`` servers holds ``hash_tag``, as in both older layers (``layers-and-protocol`` 3.4)."""
    return int((crc32(hash_tag.encode()) & 0xFFF) / (4096 / shards))


class Keys:
    """Key names under one prefix. Lifetime: layer.

    Args:
        prefix: begins all keys; colons at its end are ignored.

    Raises:
        InvalidChannelLayerError: ``prefix`` is no text, is empty, or has spaces or braces.
    """

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str) or not re.fullmatch(r"[^\s{}]+", prefix.rstrip(":")):
            raise InvalidChannelLayerError(
                f"prefix is a str such as 'chat', without spaces and braces and not empty, not {prefix!r}"
            )
        self.prefix = prefix.rstrip(":")  # "asgi:" of one older layer and "asgi" of the other are one prefix
        self.leases = f"{self.prefix}:leases:{{{LEASES}}}"
        self.cleared = f"{self.prefix}:cleared:{{{LEASES}}}"
        self.wanted = f"{self.prefix}:wanted:{{{LEASES}}}"
        self.delayed = f"{self.prefix}:delayed:{{{DELAYED}}}"
        self.queue = functools.lru_cache(maxsize=4096)(self._queue)
        self.group = functools.lru_cache(maxsize=4096)(self._group)
        # Names hold no colon and no brace, so that no key of prefix "a:queue" looks like one of prefix "a".
        name = r"[^:{}]+"
        self._ours = re.compile(
            rf"{re.escape(self.prefix)}:(?:queue:\{{{name}\}}:{name}|(?:group|history|present|sockets|joined):\{{{name}\}}|members:\{{{name}\}}:{name}!"
            rf"|(?:groups|full):\{{{name}\}}|delayed:\{{delayed\}}|permits:\{{{name}\}}:{name}|statistics:\{{statistics\}}(?::{name})?)"
        ).fullmatch

    @property
    def pattern(self) -> str:
        """A glob for SCAN that finds all keys of this prefix (and some of longer ones, see ``is_content``)."""
        return re.sub(r"([*?\[\]^\\])", r"\\\1", self.prefix) + ":*"

    def is_content(self, key: str) -> bool:
        """Whether a flush removes ``key``: messages, groups, delayed sends, counts; not leases and last wills."""
        return self._ours(key) is not None

    def _queue(self, queue: str) -> str:
        return f"{self.prefix}:queue:{{{hash_tag_of(queue)}}}:{queue}"

    def _group(self, group: str) -> str:
        return f"{self.prefix}:group:{{{group}}}"

    def present(self, group: str) -> str:
        """The key of who reads which channel in ``group``."""
        return f"{self.prefix}:present:{{{group}}}"

    def sockets(self, group: str) -> str:
        """The key of the channels of each person in ``group``."""
        return f"{self.prefix}:sockets:{{{group}}}"

    def joined(self, group: str) -> str:
        """The key of the persons who have joined ``group``, and have not left."""
        return f"{self.prefix}:joined:{{{group}}}"

    def history(self, group: str) -> str:
        """The key of the history of ``group``."""
        return f"{self.prefix}:history:{{{group}}}"

    def members(self, group: str, queue: str) -> str:
        """The key of the members of ``group`` that lie in ``queue``."""
        return f"{self.prefix}:members:{{{group}}}:{queue}"

    def groups_of(self, process: str) -> str:
        """The key of the groups in which ``process`` has members."""
        return f"{self.prefix}:groups:{{{process}}}"

    def full_of(self, process: str) -> str:
        """The key of the channels of ``process`` that may join no more groups."""
        return f"{self.prefix}:full:{{{process}}}"

    def wills_of(self, process: str) -> str:
        """The key of the last wills of ``process``."""
        return f"{self.prefix}:wills:{{{process}}}"

    def claim_of(self, process: str) -> str:
        """The key of the claim to clear ``process`` away."""
        return f"{self.prefix}:claim:{{{process}}}"

    def wake_up(self, hash_tag: str, reader: str) -> str:
        """The key that wakes ``reader``, on the server of ``hash_tag``."""
        return f"{self.prefix}:wake:{{{hash_tag}}}:{reader}"

    def permits(self, key: str) -> str:
        """The key of the permits that were taken for ``key``."""
        return f"{self.prefix}:permits:{{{hash_tag_of(key)}}}:{key}"

    def statistics(self, queue: str | None = None) -> str:
        """The key of the counts of ``queue``, or of the layer for None."""
        return f"{self.prefix}:statistics:{{{STATISTICS}}}" + ("" if queue is None else f":{queue}")
