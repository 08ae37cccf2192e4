"""What every test shares: a default in-memory layer of its own, and the order in which the files are run."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from routechan import outbox
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, SyncChannelLayer, channel_layers
from routechan.telemetry.repeats import Repeats

#: Files that take longest, longest first. Files are given to processes in this order, so that none is left alone with
#: a long one in the end.
LONG = (
    "integration/soak/",
    "integration/documents/",
    "integration/redis/test_faults.py",
    "integration/browser/",
    "integration/documents/",
    "integration/projects/",
    "contract/test_delay.py",
    "integration/redis/test_processes.py",
    "integration/",
    "unit/django/processes/",
    "unit/django/testing/",
    "unit/django/alias/",
    "unit/worker/",
    "contract/",
)

# No example fails because the machine is busy. Quick passes repeat what all tests have tried on another Python.
hypothesis.settings.register_profile("all", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.load_profile("all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = item.nodeid.partition("::")[0].removeprefix("tests/")
    return next((place for place, start in enumerate(LONG) if file.startswith(start)), len(LONG))


@pytest.fixture(autouse=True)
def logged_anew() -> None:
    """Mistakes in content are logged again, whichever test has made them before."""
    outbox._repeats = Repeats()


@pytest.fixture
def default_layer() -> Iterator[SyncChannelLayer]:
    """The 1.x face of a fresh in-memory layer under the default alias."""
    with channel_layers.override(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer().sync) as layer:
        yield layer


@pytest.fixture
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log lines that repeat are written each time."""
    monkeypatch.setattr("routechan.telemetry.repeats.INTERVAL", 0.0)
    monkeypatch.setattr("routechan.consumers.failures.INTERVAL", 0.0)
