"""What a layer has whose processes prove that they live: others clear away those that do not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection


class Leased(ABC):
    """A layer whose processes hold leases; see ``lease`` in the glossary. Lifetime: process."""

    #: Seconds without a sign of life after which a process is taken for dead.
    lease: float

    @abstractmethod
    def on_cleared_away(self, call: Callable[[Collection[str]], object]) -> None:
        """Have ``call`` called, in any thread, when others took this process for dead.

        They have ended its memberships, and sent its last wills; it is given the channels whose last wills they sent.
        """

    @abstractmethod
    async def prove_life(self) -> None:
        """Renew the lease now; when this returns, it is known whether others took this process for dead.

        Raises:
            ChannelLayerUnavailable: it is not known.
        """
