"""``setup_logger``: log lines of the commands on the console."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from routechan_django import log

from .helpers import logging_kept


@pytest.fixture(autouse=True)
def console(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """A handler of the test's own in place of the module's (AP-06); the loggers are put back after it."""
    text = io.StringIO()
    monkeypatch.setattr(log, "handler", logging.StreamHandler(text))
    with logging_kept("routechan", "routechan.tests.log"):
        yield text


def test_lines(console: io.StringIO) -> None:
    """AP-06: time, level, module and text; from INFO on; the named logger does not propagate, and is returned."""
    logger = log.setup_logger("routechan.tests.log")
    assert logger is logging.getLogger("routechan.tests.log")
    assert not logger.propagate
    logger.info("hello")
    logger.debug("not this")
    (line,) = console.getvalue().splitlines()
    assert line.endswith(" - INFO - test_log - hello")


def test_verbosity(console: io.StringIO) -> None:
    """AP-06: DEBUG above verbosity 1."""
    log.setup_logger("routechan.tests.log", 2).debug("this")
    assert "DEBUG - test_log - this" in console.getvalue()


def test_once(console: io.StringIO) -> None:
    """AP-06: calling it again adds no second handler."""
    for _ in range(2):
        logger = log.setup_logger("routechan.tests.log")
    assert logger.handlers == [log.handler]


def test_what_servers_and_workers_log(console: io.StringIO) -> None:
    """AP-07: the logger of our own code prints too, whichever name was given; in 1.x it was that of Daphne."""
    log.setup_logger("routechan.tests.log")
    logging.getLogger("routechan").info("from a worker")
    assert console.getvalue().endswith("from a worker\n")
