"""Test cases, clients and a live server for consumers; the names of 1.x's ``channels.test``."""

from routechan.testing import sent

from .cases import ChannelTestCase, ChannelTestCaseMixin, TransactionChannelTestCase
from .client import Client
from .layers import use_test_config
from .liveserver import ChannelLiveServerTestCase
from .routes import apply_routes
from .websocket import WSClient
from .websocket import WSClient as HttpClient  # not from .http, whose import warns

__all__ = [
    "ChannelLiveServerTestCase",
    "ChannelTestCase",
    "ChannelTestCaseMixin",
    "Client",
    "HttpClient",
    "TransactionChannelTestCase",
    "WSClient",
    "apply_routes",
    "sent",
    "use_test_config",
]
