"""Sessions for consumers, and the order of a connection's events: the names of ``channels.sessions``."""

from django.contrib.sessions.backends import signed_cookies
from django.contrib.sessions.backends.base import CreateError

from routechan import ConsumeLater, Message

from ..messages import SessionMessage
from ..request import AsgiRequest
from .browser import channel_and_http_session, http_session
from .connection import channel_session, session_for_reply_channel
from .ordering import enforce_ordering, requeue_messages, wait_channel_name

__all__ = [
    "AsgiRequest",
    "ConsumeLater",
    "CreateError",
    "Message",
    "SessionMessage",
    "channel_and_http_session",
    "channel_session",
    "enforce_ordering",
    "http_session",
    "requeue_messages",
    "session_for_reply_channel",
    "signed_cookies",
    "wait_channel_name",
]
