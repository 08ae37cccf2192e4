"""Fixtures for pytest: ``pytest_plugins = ["routechan_django.test.fixtures"]`` in the project's top ``conftest.py``.

Django has to be set up, by pytest-django or by the project itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .. import conf
from ..layer import ChannelLayerWrapper
from .client import Client
from .layers import fresh_layers
from .websocket import WSClient


@pytest.fixture
def channel_layers_in_memory() -> Iterator[dict[str, ChannelLayerWrapper]]:
    """Alias -> an empty in-memory layer with the routing of the settings, in place of each configured layer."""
    with fresh_layers(conf.layer_aliases()) as layers:
        yield layers


@pytest.fixture
def channel_client(channel_layers_in_memory: dict[str, ChannelLayerWrapper]) -> Client:
    """A ``Client`` on the default layer."""
    return Client()


@pytest.fixture
def ws_client(channel_layers_in_memory: dict[str, ChannelLayerWrapper], request: pytest.FixtureRequest) -> WSClient:
    """A ``WSClient`` on the default layer; with pytest-django its test may use the database, for the session."""
    if request.config.pluginmanager.hasplugin("django"):
        request.getfixturevalue("db")
    return WSClient()
