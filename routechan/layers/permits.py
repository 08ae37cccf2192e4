"""What a layer has that counts for all its processes together what a client is permitted."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Permitting(ABC):
    """A layer that keeps counts of permits which its processes share. Lifetime: process."""

    @abstractmethod
    def permits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        """Take up to ``wanted`` of the ``most`` permits that all processes together have for ``key``.

        Args:
            key: letters, digits, ``-``, ``_`` and ``.``.
            wanted: how many are wanted.
            most: how many there are in all.
            lasts: seconds after which the key may be forgotten; whoever counts in periods has a key for each.

        Returns:
            How many were granted.

        Raises:
            ChannelLayerUnavailable: the layer cannot be reached, which is waited for no longer than an attempt takes.
        """

    @abstractmethod
    def now(self) -> float:
        """The time in seconds, on a clock that the processes which share the layer agree on."""

    @abstractmethod
    async def apermits(self, key: str, wanted: int, most: int, lasts: float) -> int:
        """``permits`` for async code, with the same arguments ``key``, ``wanted``, ``most`` and ``lasts``."""
