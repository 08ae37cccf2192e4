"""The feed in a real browser whose network is lost: nothing is missing, nothing is doubled, and a gap is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.redis_servers import Network

from .conftest import PHONE, Example, Windows, expect, snap

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


#: What the console says of an event stream that was cut off, and of those that find no server.
CUT = ["ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION"]


@pytest.fixture
def network(own_demo: Example) -> Iterator[Network]:
    """A network between a window and the demo."""
    with Network(own_demo.port) as network:
        yield network


def opened(windows: Windows, port: int, transport: str = "websocket", **options) -> Page:
    page = windows.open(f"http://127.0.0.1:{port}/feed/?transport={transport}", **options)
    expect(page.locator("#connection")).to_have_text("Connected")
    return page


def notices(page: Page) -> Locator:
    return page.locator("#notices li")


def publish(page: Page, *texts: str) -> None:
    for text in texts:
        page.get_by_role("textbox", name="Notice").fill(text)
        page.get_by_role("button", name="Publish").click()
        expect(notices(page).first).to_have_text(text)


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_lost_network(own_demo: Example, network: Network, windows: Windows, transport: str) -> None:
    """What was published meanwhile is there once the page is back, once and in order."""
    windows.expected += CUT
    here, away = opened(windows, own_demo.port), opened(windows, network.port, transport, viewport=PHONE)
    publish(here, "one")
    expect(notices(away)).to_have_text(["one"])
    for before in (["one"], ["three", "two", "one"]):
        network.silence()
        network.drop()
        expect(away.locator("#connection")).to_contain_text("Connection lost")
        snap(away, f"feed-{transport}-lost")
        texts = ["two", "three"] if len(before) == 1 else ["four"]
        publish(here, *texts)
        expect(notices(away)).to_have_text(before)
        network.speak()
        expect(notices(away)).to_have_text([*reversed(texts), *before])
        expect(away.locator("#outcome")).to_have_text("You were away, and have missed nothing.")
    snap(away, f"feed-{transport}-recovered")
    expect(notices(here)).to_have_text(["four", "three", "two", "one"])


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_server_that_has_forgotten(own_demo: Example, windows: Windows, transport: str) -> None:
    """The history in memory ends with the process: the page is told, and loads the list anew."""
    windows.expected += CUT
    page = opened(windows, own_demo.port, transport)
    publish(page, "before")
    own_demo.stop()
    expect(page.locator("#connection")).to_contain_text("Connection lost")
    own_demo.start()
    expect(page.locator("#connection")).to_have_text("Connected")
    expect(page.locator("#outcome")).to_contain_text("loaded anew")
    expect(notices(page)).to_have_text(["before"])
    publish(page, "after")
    expect(notices(page)).to_have_text(["after", "before"])
