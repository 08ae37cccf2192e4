"""Test cases, clients and a live server for consumers; the names of 1.x's ``channels.test``."""

from .cases import ChannelTestCase, ChannelTestCaseMixin, TransactionChannelTestCase
from .client import Client
from .liveserver import ChannelLiveServerTestCase
from .routes import apply_routes
from .websocket import WSClient
from .websocket import WSClient as HttpClient  # not from .http, which warns whoever imports it

__all__ = [
    "ChannelLiveServerTestCase",
    "ChannelTestCase",
    "ChannelTestCaseMixin",
    "Client",
    "HttpClient",
    "TransactionChannelTestCase",
    "WSClient",
    "apply_routes",
]
