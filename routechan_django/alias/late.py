"""Mistakes in a routing of 1.x are refused when the entry is used: projects keep entries that they never use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from routechan import routing
from routechan.exceptions import RoutingError


class Refused:
    """Stands in a routing for an entry or a consumer with a mistake. Lifetime: process.

    Args:
        error: The mistake.
        entry: What the user wrote, if the mistake is in one entry.
    """

    def __init__(self, error: RoutingError, entry: Any = None) -> None:
        self.text = f"{error}{_made_at()}"
        self._cause = error.__cause__
        self._entry = entry

    def match(self, message: object) -> NoReturn:
        """Refuse the ``message``: raise ``RoutingError``."""
        self()

    def channel_names(self) -> set[str]:
        """The channels that the user's entry names; ``RoutingError`` where it names none."""
        names = getattr(self._entry, "channel_names", None)
        return set(names()) if callable(names) else self()

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise RoutingError(self.text) from self._cause

    def __str__(self) -> str:
        return f"refused: {self.text}"


def _made_at() -> str:
    """Where the user's code made the entry, as the end of an error's text."""
    ours = {Path(__file__).parent, Path(routing.__file__).parent}
    frame = sys._getframe(1)
    while frame.f_back is not None and Path(frame.f_code.co_filename).parent in ours:
        frame = frame.f_back
    return f" (made at {frame.f_code.co_filename}:{frame.f_lineno})"
