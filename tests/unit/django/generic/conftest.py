"""A client whose consumers the test names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from routechan import route_class
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.test import WSClient, apply_routes


@pytest.fixture
def client_of(layer: ChannelLayerWrapper) -> Iterator[Callable[..., WSClient]]:
    """``client_of(routes, ordered=False)``: a client of these routes, or of a class, on a fresh layer."""
    with ExitStack() as stack:

        def make(routes: Any, **options: Any) -> WSClient:
            stack.enter_context(apply_routes(route_class(routes) if inspect.isclass(routes) else routes))
            return WSClient(**options)

        yield make
