"""Django, set up once; a fresh layer from the settings for each test."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.unit.django.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.test.utils import (  # noqa: E402
    setup_databases,
    setup_test_environment,
    teardown_databases,
    teardown_test_environment,
)

from routechan.inspection import Kind  # noqa: E402
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers  # noqa: E402
from routechan_django import signals  # noqa: E402
from routechan_django.asgi import make_layer  # noqa: E402
from routechan_django.layer import ChannelLayerWrapper  # noqa: E402

from .helpers import connected, logging_kept, new_reply_channel  # noqa: E402


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


@pytest.fixture
def user() -> Iterator[User]:
    """A user that no other test has."""
    made = User.objects.create(username=new_reply_channel(), password="x")
    yield made
    User.objects.filter(username=made.username).delete()


class Sent(NamedTuple):
    """A signal that was sent."""

    name: str
    sender: Any
    thread: int
    arguments: dict[str, Any]


@pytest.fixture
def signals_sent() -> Iterator[list[Sent]]:
    """The signals around consumers, and ``worker_ready``, as they are sent."""
    sent: list[Sent] = []
    names = ("consumer_started", "consumer_finished", "consumer_failed", "worker_ready")
    by_signal = {getattr(signals, name): name for name in names}

    def receiver(sender: Any, signal: Any, **kwargs: Any) -> None:
        sent.append(Sent(by_signal[signal], sender, threading.get_ident(), kwargs))

    with connected(receiver, *by_signal):
        yield sent


@pytest.fixture
def logger_kept() -> Iterator[None]:
    """The commands set up the logger; it is as before after the test."""
    with logging_kept("routechan"):
        yield


@pytest.fixture(params=list(Kind), ids=lambda kind: kind.value)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of consumer."""
    return request.param
