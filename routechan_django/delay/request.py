"""The content of a message on ``asgi.delay`` (DL-02)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from routechan.encoding import check_content
from routechan.exceptions import RoutechanError
from routechan.names import check_channel_name

#: The channel of such messages.
CHANNEL = "asgi.delay"

_KEYS = ("channel", "content", "delay")


class InvalidRequest(RoutechanError, ValueError):
    """A malformed message on ``asgi.delay``."""


class Request(NamedTuple):
    """A message to be sent later. Lifetime: message.

    Args:
        channel: The name of its channel.
        content: Its content.
        delay: Milliseconds, at least 0.
    """

    channel: str
    content: dict[str, Any]
    delay: float


def read_request(message: Any) -> Request:
    """The request in a message such as ``{"channel": "reminders", "content": {"id": 5}, "delay": 60000}``.

    Args:
        message: The content of a message on ``asgi.delay``. A negative delay counts as 0 (DL-10).

    Raises:
        InvalidRequest: A key is missing, or a value is wrong; the inner ``TypeError`` or ``ValueError`` is its cause.
    """
    missing = [key for key in _KEYS if key not in message]
    if missing:
        raise InvalidRequest(
            f"a message on {CHANNEL} has the keys {', '.join(_KEYS)}; {', '.join(missing)} is missing in "
            f"{dict(message)!r:.200}"
        )
    channel, content, delay = (message[key] for key in _KEYS)
    try:
        check_channel_name(channel)
        check_content(content)
        if isinstance(delay, bool) or not isinstance(delay, (int, float)):
            raise TypeError(f"the delay is a number of milliseconds, such as 60000, not {delay!r:.100}")
        if not math.isfinite(delay):
            raise ValueError(f"the delay is a finite number of milliseconds, not {delay!r}")
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"a message on {CHANNEL} cannot be served: {error}") from error
    return Request(channel, content, max(delay, 0))  # a message of the past is due now (DL-10)
