"""Messages that are lost, in the counts and in the log."""

from __future__ import annotations

import logging

from .. import names
from ..exceptions import UselessContent
from ..telemetry.repeats import Repeats
from .statistics import Counts

logger = logging.getLogger("routechan")


class Losses:
    """Counts every lost message as dropped, and logs one line per kind of trouble and interval. Lifetime: layer.

    A rolling upgrade may bring thousands of messages that one side cannot read.

    Args:
        counts: where lost messages are counted as dropped.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._repeats = Repeats()

    def add(self, channel: str | None, error: Exception, place: str | None = None) -> None:
        """Count a lost message, and log why, unless that was logged lately.

        Args:
            channel: where it was sent; None where that is unknown.
            error: the reason; its ``trouble``, if it has one, names the kind of loss.
            place: where it lay, for the log, if that says more than ``channel``.
        """
        outcome = "does nothing here" if isinstance(error, UselessContent) else "is lost"
        if outcome == "is lost":
            self._counts.add(None if channel is None else names.queue_name(channel), "dropped_count")
        more = self._repeats.more(getattr(error, "trouble", type(error).__name__))
        if more is None:
            return
        where = f"to {channel}" if place is None else f"in {place}"
        logger.error("A message %s %s: %s%s", where, outcome, error, more)

    def pass_over(self, place: str, error: Exception) -> None:
        """Log, unless that was done lately, that something in ``place`` is passed over, for the reason ``error``."""
        more = self._repeats.more(f"pass over {place}")
        if more is not None:
            logger.error("Something in %s that no routechan wrote is passed over: %s%s", place, error, more)
