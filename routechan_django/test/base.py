"""The names of 1.x's ``channels.test.base``."""

from __future__ import annotations

from django.db import close_old_connections

from routechan import Group, Message, include
from routechan.routing import Router

from ..alias.old_layers import ChannelLayer as InMemoryChannelLayer
from ..layer import ChannelLayerWrapper
from .cases import ChannelTestCase, ChannelTestCaseMixin, TransactionChannelTestCase
from .client import Client
from .routes import apply_routes

__all__ = [
    "ChannelLayerWrapper",
    "ChannelTestCase",
    "ChannelTestCaseMixin",
    "Client",
    "Group",
    "InMemoryChannelLayer",
    "Message",
    "Router",
    "TransactionChannelTestCase",
    "apply_routes",
    "close_old_connections",
    "include",
]
