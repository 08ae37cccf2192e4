"""What servers and workers say to each other."""

from __future__ import annotations

from typing import Any

import pytest

from routechan.relay.protocol import TAG, DeliveryTag, tag_of


def test_delivery_tag() -> None:
    """A tag is read from the header as it was written."""
    assert tag_of({TAG: ["specific.a.b!", 3, 60.0]}) == DeliveryTag("specific.a.b!", 3, 60.0)


@pytest.mark.parametrize(
    "headers", [{}, {TAG: None}, {TAG: [1]}, {TAG: ["a", "b", 1.0]}, {TAG: ["a", 1]}, {TAG: "text"}]
)
def test_no_delivery_tag(headers: dict[str, Any]) -> None:
    """What no server of ours has written is no delivery tag, and the message is consumed as one of nobody."""
    assert tag_of(headers) is None
