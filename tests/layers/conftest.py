"""The back ends the contract runs on; a new layer is one more class in ``BACKENDS``.

Items in docstrings of the contract (``item 16``) are those of ``layers-and-protocol`` section 5.
"""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from routechan.layers import BaseChannelLayer, InMemoryChannelLayer, SyncChannelLayer


class Backend(Protocol):
    """Where layers of one kind come from, and how time passes for them. Lifetime: test."""

    def make(self, **options: Any) -> BaseChannelLayer:
        """A layer that shares nothing with other ones."""

    def elapse(self, seconds: float) -> None:
        """Let so much time pass for the layers; a back end without a clock of its own sleeps."""


class MemoryBackend:
    """Layers in memory, on a clock that the test moves. Lifetime: test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def make(self, **options: Any) -> BaseChannelLayer:
        return InMemoryChannelLayer(clock=lambda: self.now, **options)

    def elapse(self, seconds: float) -> None:
        self.now += seconds


BACKENDS = {"memory": MemoryBackend}


@pytest.fixture(params=list(BACKENDS.values()), ids=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """One back end after the other."""
    made: Backend = request.param()
    return made


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    """The async face of a fresh layer with default options."""
    return backend.make()


@pytest.fixture
def face(layer: BaseChannelLayer) -> SyncChannelLayer:
    """The 1.x face of ``layer``."""
    return layer.sync
