"""What a message on ``asgi.delay`` asks for (DL-02)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from routechan.encoding import check_content
from routechan.exceptions import RoutechanError
from routechan.names import check_channel_name

#: Where such messages are sent.
CHANNEL = "asgi.delay"

_KEYS = ("channel", "content", "delay")


class InvalidRequest(RoutechanError, ValueError):
    """A message on ``asgi.delay`` that cannot be served."""


class Request(NamedTuple):
    channel: str
    content: dict[str, Any]
    #: Milliseconds; never below 0.
    delay: float


def read_request(message: Any) -> Request:
    """Check a message such as ``{"channel": "reminders", "content": {"id": 5}, "delay": 60000}``.

    Raises ``InvalidRequest``.
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
    return Request(channel, content, max(delay, 0))  # what was due before now is due now (DL-10)
