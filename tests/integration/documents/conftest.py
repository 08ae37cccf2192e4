"""What reads the pages: a folder, a Redis of its own, a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.browser.conftest import browser, windows
from tests.redis_servers import SingleServer

from .reader import Reader

__all__ = ["browser", "windows"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody in an empty folder, with a Redis that nobody else uses."""
    with SingleServer() as redis, Reader(tmp_path, **{"6379": str(redis.port)}) as reading:
        yield reading
