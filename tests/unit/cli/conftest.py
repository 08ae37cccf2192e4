"""What these tests leave as they found it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from routechan import cli


@pytest.fixture(autouse=True)
def uvicorn_log() -> Iterator[None]:
    """What serving in this process changes of uvicorn's log is gone in the end."""
    logger = logging.getLogger("uvicorn.error")
    level, filters = logger.level, list(logger.filters)
    yield
    logger.setLevel(level)
    logger.filters[:] = filters


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (cli.REDIS_VARIABLE, cli.KEYS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
