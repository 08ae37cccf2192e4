"""The browser client among the static files."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles import finders


@pytest.mark.parametrize(
    "path",
    [
        "channels/js/websocketbridge.js",
        "routechan/websocketbridge.js",
        "routechan/websocketbridge.mjs",
        "routechan/websocketbridge.d.ts",
        "routechan/websocketbridge.d.mts",
    ],
)
def test_the_browser_client_is_found(path: str) -> None:
    """``{% static %}`` finds it under the path of 1.x (section 12) and under ours, with types beside the module."""
    assert finders.find(path) is not None
