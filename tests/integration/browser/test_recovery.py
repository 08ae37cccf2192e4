"""Pages that lose their network and come back, in a real browser in front of a real server."""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Example, Windows
from .network import Network
from .test_bridge import site

__all__ = ["site"]

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLLOW = """([feed, transport]) => {
    Object.assign(window, {heard: {a: [], b: []}, told: [], queries: []});
    const options = {recover: true, transports: [transport], minReconnectionDelay: 10, maxReconnectionDelay: 50};
    bridge.connect(`/ws/feed/${feed}/?lang=eo`, undefined, options);
    for (const name of ["a", "b"]) bridge.demultiplex(name, (number) => heard[name].push(number));
    bridge.listen(({query}) => queries.push(query));
    for (const outcome of ["joined", "recovered", "gap"]) {
        bridge.socket.addEventListener(outcome, () => told.push(outcome));
    }
}"""


class Feed:
    """A page that follows a feed, and what is sent to that. Lifetime: test."""

    def __init__(self, site: Example, window: Page, kind: str, transport: str) -> None:
        self.name = f"{kind}-{secrets.token_hex(4)}"
        self.window = window
        self.sent = 0
        self._site = site
        window.evaluate(FOLLOW, [self.name, transport])
        self.is_told("joined")

    def publish(self, count: int) -> None:
        """Send the next numbers, past the network of the page."""
        url = f"{self._site.url}/publish/{self.name}/{self.sent}/{count}/"
        with urllib.request.urlopen(url) as response:
            assert response.status == 200
        self.sent += count

    def is_told(self, *outcomes: str) -> None:
        """Wait until the page has been told these since the last time, and nothing else."""
        self.window.wait_for_function("(count) => told.length >= count", arg=len(outcomes))
        assert self.window.evaluate("told.splice(0)") == list(outcomes)

    def hears(self, *numbers: int) -> None:
        """Wait until the page has heard this of each group since the last time, in order and once."""
        arg = [numbers[-1], len(numbers)]
        self.window.wait_for_function("([last]) => heard.a.includes(last) && heard.b.includes(last)", arg=arg)
        heard: Any = self.window.evaluate("({a: heard.a.splice(0), b: heard.b.splice(0)})")
        assert heard == {"a": list(numbers), "b": list(numbers)}


@pytest.fixture
def network(site: Example) -> Iterator[Network]:
    with Network(site.port) as between:
        yield between


@pytest.fixture(params=["websocket", "sse"])
def transport(request: pytest.FixtureRequest) -> str:
    """What the page connects with."""
    kind: str = request.param
    return kind


@pytest.fixture
def window(network: Network, windows: Windows) -> Page:
    """A page behind the network."""
    windows.expected += ["net::ERR_", "EventSource's response has a MIME type"]  # of attempts that fail, or half of it
    return windows.open(f"http://127.0.0.1:{network.port}/new/")


def test_nothing_is_lost_or_doubled_wherever_the_network_is_cut(
    site: Example, network: Network, window: Page, transport: str
) -> None:
    """In the midst of messages, of the handshake and of what was missed: each message comes once and in order."""
    feed = Feed(site, window, "long", transport)
    for number in range(12):
        network.cut_after(1 + 61 * number)
        feed.publish(20)
        network.wait_until_cut()
        feed.publish(20)
        network.mend()
        network.cut_after(1 + 173 * number)
        network.wait_until_cut()
        network.mend()
    feed.publish(1)
    feed.hears(*range(feed.sent))
    told = window.evaluate("told.splice(0)")
    assert set(told) == {"recovered"}
    assert set(window.evaluate("queries")) == {"lang=eo"}  # whatever the page comes back with


def test_a_page_that_was_offline(site: Example, network: Network, window: Page, transport: str) -> None:
    """It is told that it was given everything, behind what it missed."""
    feed = Feed(site, window, "long", transport)
    feed.publish(2)
    feed.hears(0, 1)
    window.context.set_offline(True)
    network.cut()
    window.wait_for_function("bridge.socket.readyState !== 1")
    feed.publish(3)
    window.evaluate("bridge.socket.addEventListener('recovered', () => told.push(heard.a.length + heard.b.length))")
    network.mend()
    window.context.set_offline(False)
    feed.is_told("recovered", 6)
    feed.hears(2, 3, 4)


def test_a_page_that_was_away_for_too_long(site: Example, network: Network, window: Page, transport: str) -> None:
    """It is told of the gap in each group before anything newer, and from there on it misses nothing again."""
    feed = Feed(site, window, "short", transport)
    for first in (0, 6):
        feed.publish(1)
        feed.hears(first)
        network.cut()
        feed.publish(4)
        network.mend()
        feed.is_told("gap", "gap")
        network.cut()
        feed.publish(1)
        network.mend()
        feed.is_told("recovered")
        feed.hears(first + 5)
