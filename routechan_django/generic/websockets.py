"""The class-based consumers of WebSockets, and what applications of 1.x import along with them."""

import json

from django.core.serializers.json import DjangoJSONEncoder

from routechan.channel import Group
from routechan.exceptions import SendNotAvailableOnDemultiplexer

from ..auth import channel_and_http_session_user_from_http, channel_session_user_from_http
from ..sessions import enforce_ordering
from .base import BaseConsumer
from .multiplexing import WebsocketDemultiplexer, WebsocketMultiplexer
from .sockets import JsonWebsocketConsumer, WebsocketConsumer

__all__ = [
    "BaseConsumer",
    "DjangoJSONEncoder",
    "Group",
    "JsonWebsocketConsumer",
    "SendNotAvailableOnDemultiplexer",
    "WebsocketConsumer",
    "WebsocketDemultiplexer",
    "WebsocketMultiplexer",
    "channel_and_http_session_user_from_http",
    "channel_session_user_from_http",
    "enforce_ordering",
    "json",
]
