"""The modules of 1.x whose home is the core, with the names that they had besides."""

from __future__ import annotations

from types import ModuleType

from django.core.exceptions import ImproperlyConfigured

import routechan.message
import routechan.routing

from ..signals import consumer_finished, consumer_started
from .facade import Facade
from .pending import PendingMessageStore, pending_message_store


def message() -> ModuleType:
    return Facade(
        "channels.message",
        routechan.message,
        {
            "PendingMessageStore": PendingMessageStore,
            "pending_message_store": pending_message_store,
            "consumer_started": consumer_started,
            "consumer_finished": consumer_finished,
        },
    )


def routing() -> ModuleType:
    return Facade("channels.routing", routechan.routing, {"ImproperlyConfigured": ImproperlyConfigured})
