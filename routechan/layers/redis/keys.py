"""The names of the keys in Redis, and where each lives.

::

    <prefix>:queue:{home}:<queue>             list    messages, oldest first
    <prefix>:group:{group}                    zset    queues and plain channels; score: when the membership ends
    <prefix>:members:{group}:<queue>          zset    a group's channels in one queue; score likewise
    <prefix>:leases:{leases}                  zset    living processes; score: until when
    <prefix>:groups:{process}                 set     "group queue" of what a process has members in
    <prefix>:wills:{process}                  hash    channel -> where to send what if the process dies
    <prefix>:claim:{process}                  string  who clears a dead process away
    <prefix>:bell:{home}:<process>            list    wakes a process that waits for other queues than it should
    <prefix>:delayed:{delayed}                zset    sends to come; score: when
    <prefix>:statistics:{statistics}, ...:<queue>  hash    counts, in all and of one queue

What stands in braces is the *home*: it decides the shard, and in a Redis Cluster the slot. The home of a
process-specific queue is its process, so that one blocking command reads all queues of a process; other
queues share a few homes, so that one blocking command waits for many of them.
"""

from __future__ import annotations

import functools
import re
from zlib import crc32

from ...exceptions import InvalidChannelLayerError

#: How many homes normal channels are spread over. Part of what processes must agree on.
HOMES = 16

LEASES = "leases"
DELAYED = "delayed"
STATISTICS = "statistics"


@functools.lru_cache(maxsize=4096)
def home_of(queue: str) -> str:
    """What decides where a queue lives."""
    if queue.endswith("!"):
        return queue[queue.rfind(".") + 1 : -1] or queue
    return f"h{crc32(queue.encode()) % HOMES}"


def shard_of(home: str, shards: int) -> int:
    """Which of ``shards`` servers a home is on: the formula of both older layers (``layers-and-protocol`` 3.4)."""
    return int((crc32(home.encode()) & 0xFFF) / (4096 / shards))


class Keys:
    """Key names under one prefix. Lifetime: layer."""

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str) or not re.fullmatch(r"[^\s{}]+", prefix.rstrip(":")):
            raise InvalidChannelLayerError(
                f"prefix is a str such as 'chat', without spaces and braces and not empty, not {prefix!r}"
            )
        self.prefix = prefix.rstrip(":")  # "asgi:" of one older layer and "asgi" of the other are one prefix
        self.leases = f"{self.prefix}:leases:{{{LEASES}}}"
        self.delayed = f"{self.prefix}:delayed:{{{DELAYED}}}"
        self.queue = functools.lru_cache(maxsize=4096)(self._queue)
        # Names hold no colon and no brace, so that no key of prefix "a:queue" looks like one of prefix "a".
        name = r"[^:{}]+"
        self._ours = re.compile(
            rf"{re.escape(self.prefix)}:(?:queue:\{{{name}\}}:{name}|group:\{{{name}\}}|members:\{{{name}\}}:{name}!"
            rf"|groups:\{{{name}\}}|delayed:\{{delayed\}}|statistics:\{{statistics\}}(?::{name})?)"
        ).fullmatch

    @property
    def pattern(self) -> str:
        """A glob for SCAN that finds all keys of this prefix (and some of longer ones, see ``is_content``)."""
        return re.sub(r"([*?\[\]^\\])", r"\\\1", self.prefix) + ":*"

    def is_content(self, key: str) -> bool:
        """Whether a flush removes ``key``: messages, groups, delayed sends, counts; not leases and last wills."""
        return self._ours(key) is not None

    def _queue(self, queue: str) -> str:
        return f"{self.prefix}:queue:{{{home_of(queue)}}}:{queue}"

    def group(self, group: str) -> str:
        return f"{self.prefix}:group:{{{group}}}"

    def members(self, group: str, queue: str) -> str:
        return f"{self.prefix}:members:{{{group}}}:{queue}"

    def groups_of(self, process: str) -> str:
        return f"{self.prefix}:groups:{{{process}}}"

    def wills_of(self, process: str) -> str:
        return f"{self.prefix}:wills:{{{process}}}"

    def claim_of(self, process: str) -> str:
        return f"{self.prefix}:claim:{{{process}}}"

    def bell(self, home: str, process: str) -> str:
        return f"{self.prefix}:bell:{{{home}}}:{process}"

    def statistics(self, queue: str | None = None) -> str:
        return f"{self.prefix}:statistics:{{{STATISTICS}}}" + ("" if queue is None else f":{queue}")
