"""Log lines on the console, for the commands."""

from __future__ import annotations

import logging

#: What prints them; a test may put another one here (AP-06).
handler = logging.StreamHandler()


def setup_logger(name: str, verbosity: int = 1) -> logging.Logger:
    """The logger ``name``, printing from INFO on, or from DEBUG on with ``verbosity`` above 1.

    So does ``routechan``, the logger that servers and workers write to. Doing so again changes the level only.
    """
    level = logging.DEBUG if verbosity > 1 else logging.INFO
    handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(module)s - %(message)s"))
    for each in (name, "routechan"):
        logger = logging.getLogger(each)
        logger.setLevel(level)
        logger.addHandler(handler)
    named = logging.getLogger(name)
    named.propagate = False
    return named
