"""Django, set up once; a fresh layer from the settings for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
django.setup()

from django.test.utils import (  # noqa: E402
    setup_databases,
    setup_test_environment,
    teardown_databases,
    teardown_test_environment,
)

from routechan.kinds import Kind  # noqa: E402
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers  # noqa: E402
from routechan_django.asgi import make_layer  # noqa: E402
from routechan_django.layer import ChannelLayerWrapper  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def database() -> Iterator[None]:
    """Django's test environment and its databases, as its own test runner makes them."""
    setup_test_environment()
    databases = setup_databases(verbosity=0, interactive=False)
    yield
    teardown_databases(databases, verbosity=0)
    teardown_test_environment()


@pytest.fixture
def layer() -> Iterator[ChannelLayerWrapper]:
    """The default layer, made anew from ``CHANNEL_LAYERS``."""
    previous = channel_layers.set(DEFAULT_CHANNEL_LAYER, None)
    channel_layers.configure(make_layer)
    made = channel_layers[DEFAULT_CHANNEL_LAYER]
    assert isinstance(made, ChannelLayerWrapper)
    yield made
    channel_layers.set(DEFAULT_CHANNEL_LAYER, previous)


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of consumer."""
    return request.param
