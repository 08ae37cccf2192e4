"""The fleet that most tests share: two servers and three workers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_servers import SingleServer, shared

from .fleet import Fleet


@pytest.fixture(scope="package")
def redis_url(pytestconfig: pytest.Config) -> str:
    return shared(pytestconfig, SingleServer).url


@pytest.fixture(scope="package")
def fleet(redis_url: str) -> Iterator[Fleet]:
    """Tests leave as many servers and workers as they found."""
    with Fleet(redis_url, servers=2, workers=3) as fleet:
        yield fleet
