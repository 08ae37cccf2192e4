"""What these tests share: connections are closed in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .applications import OPENED


@pytest.fixture(autouse=True)
async def closed_in_the_end() -> AsyncIterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
