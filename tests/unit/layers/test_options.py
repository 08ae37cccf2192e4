"""Options that all layers have: what is no value is refused, with an example of one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from routechan.exceptions import InvalidChannelLayerError
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer


@pytest.mark.parametrize("make", [InMemoryChannelLayer, RedisChannelLayer])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"capacity": 0}, "capacity is a number of messages from 1 on, not 0"),
        ({"capacity": True}, "capacity is a number of messages from 1 on, not True"),
        ({"capacity": "100"}, "capacity is a number of messages from 1 on, not '100'"),
        (
            {"channel_capacity": {"http.*": 1.5}},
            "channel_capacity['http.*'] is a number of messages from 1 on",
        ),
        ({"channel_capacity": [("http.*", 5)]}, "channel_capacity is a dict of patterns and capacities"),
        ({"channel_capacity": {5: 5}}, "channel_capacity has the key 5; a pattern is a glob or a compiled expression"),
        ({"expiry": 0}, "expiry is a number of seconds above 0, such as 60, not 0"),
        ({"group_expiry": float("inf")}, "group_expiry is a number of seconds above 0, such as 60, not inf"),
        ({"expiry": "60"}, "expiry is a number of seconds above 0, such as 60, not '60'"),
    ],
    ids=lambda given: "-".join(given) if isinstance(given, dict) else "",
)
def test_what_is_no_value(make: Callable[..., Any], options: dict[str, Any], text: str) -> None:
    """style, habit 11: what came, and what was expected."""
    with pytest.raises(InvalidChannelLayerError, match=re.escape(text)):
        make(**options)
