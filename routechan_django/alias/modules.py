"""``channels.message`` and ``channels.routing``: modules of the core with the further names of 1.x."""

from __future__ import annotations

from types import ModuleType

from django.core.exceptions import ImproperlyConfigured

import routechan.message
import routechan.routing

from ..signals import consumer_finished, consumer_started
from .facade import Facade
from .late import Refused
from .pending import PendingMessageStore, pending_message_store


def message() -> ModuleType:
    """The module ``channels.message``."""
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
    """The module ``channels.routing``; from now on an entry with a mistake refuses when it is used, as in 1.x."""
    routechan.routing.refuse = Refused
    return Facade("channels.routing", routechan.routing, {"ImproperlyConfigured": ImproperlyConfigured})
