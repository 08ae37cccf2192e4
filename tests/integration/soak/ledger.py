"""Which sockets had a connect and no disconnect yet, by the consumers' own account: each has to have one of each."""

from __future__ import annotations

import os

import redis


class Ledger:
    """A hash in Redis of its own way there, which no fault touches. Lifetime: process."""

    def __init__(self, url: str, key: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._key = key
        self._given_up = 0

    @classmethod
    def of_environment(cls) -> Ledger:
        return cls(os.environ["LEDGER"], os.environ["REDIS_PREFIX"] + "-ledger")

    def opened(self, socket: str) -> None:
        self._add(socket, 1)

    def closed(self, socket: str) -> None:
        self._add(socket, -1)

    def _add(self, socket: str, number: int) -> None:
        if self._redis.hincrby(self._key, socket, number) == 0:
            self._redis.hdel(self._key, socket)

    def open(self) -> int:
        """How many sockets had no disconnect yet, but for those that are given up."""
        return [int(number) > 0 for number in self._redis.hvals(self._key)].count(True) - self._given_up

    def twice(self) -> int:
        """How many disconnects came a second time, or without a connect."""
        return -sum(int(number) for number in self._redis.hvals(self._key) if int(number) < 0)

    def forget(self, count: int) -> None:
        """Expect no disconnects of so many any more."""
        self._given_up += count
