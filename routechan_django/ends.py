"""What is done when a connection is over, below everything that keeps something for connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Ends:
    """What is asked after the last step of each consumer. Lifetime: process.

    Both are given the run of the consumer. ``is_over`` says whether something may be kept for a connection that is over
    now; it is None in a process that keeps nothing, so that its sockets cost no query when they close and need no
    database. ``remove`` removes that, on a thread that may use the database, and raises nothing.
    """

    is_over: Callable[[Any], bool] | None = None
    remove: Callable[[Any], None]


ends = Ends()
