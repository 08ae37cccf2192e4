"""The logger of the library: that it is not disabled, and its lines on the console of the commands."""

from __future__ import annotations

import logging

#: The handler of all lines; a test may put another one here (AP-06).
handler = logging.StreamHandler()


def keep_enabled(name: str = "routechan") -> None:
    """Keep ``LOGGING`` from disabling the logger ``name``, now and later; level, handlers and filters are its to set.

    ``logging.config`` disables each logger that is there already and that ``LOGGING`` does not name, unless
    ``disable_existing_loggers`` is False. An ``asgi.py`` imports this library before Django reads ``LOGGING``, and each
    further ``django.setup()`` reads it again: what consumers raise would be seen by nobody.

    Args:
        name: The name of a logger.
    """
    logger = logging.getLogger(name)
    kind = type(logger)
    if not isinstance(kind.__dict__.get("disabled"), property):
        enabled = property(lambda self: False, lambda self, value: None)
        logger.__class__ = type(kind.__name__, (kind,), {"disabled": enabled})


def setup_logger(name: str, verbosity: int = 1) -> logging.Logger:
    """The logger ``name``, which prints to the console from now on, and so does the logger ``routechan``.

    Servers and workers write to ``routechan``. A second call changes the level only.

    Args:
        name: The name of a logger.
        verbosity: The command's ``--verbosity``: above 1 lines of level DEBUG are printed, else from INFO on.
    """
    level = logging.DEBUG if verbosity > 1 else logging.INFO
    handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(module)s - %(message)s"))
    named, ours = logging.getLogger(name), logging.getLogger("routechan")
    if named is ours and ours.parent is not logging.root:
        named = ours.parent or ours  # that of 1.x, under the old import names, with the handlers of the project
    for logger in (named, ours):
        logger.setLevel(level)
        if logger.parent is not named:  # else its lines reach the handler by their parent
            logger.addHandler(handler)
    named.propagate = False
    return named
