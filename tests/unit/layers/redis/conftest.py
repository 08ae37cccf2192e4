"""What the tests of the Redis layer's parts share."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from . import driving as driving_module
from .bench import Bench
from .fakes import SOON, Gate


@pytest.fixture
def bench() -> Bench:
    """Operations of one process with capacities of 3, and 1 for ``small*``."""
    return Bench()


@pytest.fixture
def driving() -> Iterator[driving_module.Bench]:
    """A driver to one server."""
    made = driving_module.Bench()
    yield made
    made.driver.close()


@pytest.fixture
def held(driving: driving_module.Bench) -> Iterator[Gate]:
    """A first operation is in Redis and stays there until the gate is opened: what is put in meanwhile gathers."""
    gate = Gate()
    driving.node.on_write = gate
    thread = threading.Thread(target=driving.call, args=("first",))
    thread.start()
    assert gate.reached.wait(SOON)
    driving.node.on_write = lambda: None
    yield gate
    gate.open()
    thread.join(SOON)
