"""The other examples in two browser windows (apps.md rows 1, 2 and 5, and the ticker)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .conftest import PHONE, Example, Windows, expect, snap

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PAGES = {
    "index": "/",
    "login": "/login/",
    "chat-index": "/chat/",
    "chat-empty": "/chat/lobby/",
    "feed": "/feed/",
    "status": "/status/abc/",
    "ticker": "/ticker/",
    "echo": "/echo/",
    "groupchat": "/groupchat/",
    "groupchat-room": "/groupchat/lobby/",
    "leave": "/room/friends/",
}


def opened(windows: Windows, demo: Example, path: str, **options) -> Page:
    page = windows.open(demo.url + path, **options)
    expect(page.locator(".connection").first).to_have_text("Connected")
    return page


def send(page: Page, text: str) -> None:
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Send").click()


def lines(page: Page) -> Locator:
    return page.locator(".log .line")


def test_the_first_page_leads_to_every_example(demo: Example, windows: Windows) -> None:
    """Each link of ``/`` leads to a page that connects, or asks first."""
    page = windows.open(demo.url)
    links = [link.get_attribute("href") for link in page.locator("main a").all()]
    socketed = ["/feed/", "/ticker/", "/status/", "/groupchat/", "/echo/", "/groupchat/lobby/", "/room/friends/"]
    assert sorted(links) == sorted(["/chat/", "/presence/", *socketed])
    for link in socketed:
        opened(windows, demo, link)


def test_status_reaches_all_windows_of_an_id(demo: Example, windows: Windows) -> None:
    """Row 1: what one sends, all with the same client id receive, and nobody else."""
    one, other, stranger = (opened(windows, demo, f"/status/{name}/") for name in ("a1", "a1", "b2"))
    send(one, "it rains")
    send(other, "<b>still</b>")
    for page in (one, other):
        expect(lines(page)).to_have_text(["it rains", "<b>still</b>"])
    send(stranger, "sun")
    expect(lines(stranger)).to_have_text(["sun"])
    snap(one, "status-lines")


def test_status_gives_out_a_new_id(demo: Example, windows: Windows) -> None:
    """Without an id in the address one gets an own one."""
    first, second = opened(windows, demo, "/status/"), opened(windows, demo, "/status/")
    assert first.url != second.url


def test_echo_comes_back_to_the_sender_alone(demo: Example, windows: Windows) -> None:
    """Row 2 (a): one route, no connect consumer."""
    one, other = opened(windows, demo, "/echo/"), opened(windows, demo, "/echo/")
    send(one, "anybody?")
    expect(lines(one)).to_have_text(["anybody?"])
    send(other, "only me")
    expect(lines(other)).to_have_text(["only me"])


def test_group_chat(demo: Example, windows: Windows) -> None:
    """Row 2 (b): everybody is in one group; rooms by path are groups of their own."""
    one, other = opened(windows, demo, "/groupchat/"), opened(windows, demo, "/groupchat/")
    room, same_room = opened(windows, demo, "/groupchat/r/"), opened(windows, demo, "/groupchat/r/")
    send(one, "hello")
    expect(lines(other)).to_have_text(["[user] hello"])
    send(room, "in here")
    expect(lines(same_room)).to_have_text(["[user] in here"])
    send(other, "hello back")
    for page in (one, other):
        expect(lines(page)).to_have_text(["[user] hello", "[user] hello back"])


def test_leaving_a_group(demo: Example, windows: Windows) -> None:
    """Row 5: a greeting; Leave closes from the browser, and one can join again; /leave has the server close."""
    one, other = opened(windows, demo, "/room/f/"), opened(windows, demo, "/room/f/")
    expect(lines(one)).to_have_text(["Welcome to f"])
    send(other, "first")
    expect(lines(one)).to_have_text(["Welcome to f", "first"])
    one.get_by_role("button", name="Leave").click()
    expect(one.locator(".connection")).to_have_text("Closed")
    expect(one.get_by_role("button", name="Send")).to_be_disabled()
    send(other, "missed")
    expect(lines(other).last).to_have_text("missed")
    snap(one, "leave-left")
    one.get_by_role("button", name="Join again").click()
    expect(one.locator(".connection")).to_have_text("Connected")
    send(other, "/leave")
    expect(other.locator(".connection")).to_have_text("Closed")
    expect(lines(other).last).to_have_text("Goodbye")
    send(one, "alone")
    expect(lines(one)).to_have_text(["Welcome to f", "first", "Welcome to f", "alone"])


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_numbers_arrive_while_the_consumer_runs(demo: Example, windows: Windows, kind: str) -> None:
    """The complaint of row 2: a loop in a consumer is seen while it runs, and the socket answers meanwhile."""
    page, other = opened(windows, demo, "/ticker/"), opened(windows, demo, "/ticker/")
    for window in (page, other):
        card = window.locator(f"#{kind}")
        expect(card).to_contain_text("the function is running")
        first = int(card.locator("[data-number]").inner_text())
        later = "|".join(map(str, range(first + 2, 21)))  # a slow machine does not see each of them
        expect(card.locator("[data-number]")).to_have_text(re.compile(f"^({later})$"))
        card.get_by_role("button", name="Are you there?").click()
        expect(card.locator(".line")).to_contain_text("I am here")
        expect(card).to_contain_text("the function is running")
    name = "count() has ended" if kind == "plain" else "acount() has ended"
    ended = demo.output.count(f"\n{name}")
    snap(page, f"ticker-{kind}")
    page.close()
    demo.wait_until(lambda: demo.output.count(f"\n{name}") > ended, "the stream to the closed window has ended")


@pytest.mark.slow
def test_the_ticker_comes_to_its_end(demo: Example, windows: Windows) -> None:
    """When the generators are through the page says so, and begins anew on demand."""
    page = opened(windows, demo, "/ticker/")
    for kind in ("plain", "async"):
        card = page.locator(f"#{kind}")
        expect(card).to_contain_text("the function has ended", timeout=20_000)
        expect(card.locator("[data-number]")).to_have_text("20")
        card.get_by_role("button", name="Start again").click()
        expect(card).to_contain_text("the function is running")


def test_every_page_survives_a_restart(own_demo: Example, windows: Windows) -> None:
    """Each page says that the connection is lost, and is connected again when the server is."""
    pages = [
        opened(windows, own_demo, path) for path in ("/status/x/", "/ticker/", "/echo/", "/groupchat/", "/room/x/")
    ]
    own_demo.stop()
    for page in pages:
        for state in page.locator(".connection").all():
            expect(state).to_contain_text("Connection lost")
    snap(pages[0], "status-lost")
    own_demo.start()
    for page in pages:
        for state in page.locator(".connection").all():
            expect(state).to_have_text("Connected")
    send(pages[0], "back")
    expect(lines(pages[0])).to_have_text(["back"])


def test_no_network_is_noticed_at_once(demo: Example, windows: Windows) -> None:
    """A browser that goes offline shows it, and connects again when it is back."""
    page = opened(windows, demo, "/echo/")
    page.context.set_offline(True)
    expect(page.locator(".connection")).to_contain_text("Connection lost")
    page.context.set_offline(False)
    expect(page.locator(".connection")).to_have_text("Connected")


def test_minimal(minimal: Example, windows: Windows) -> None:
    """One file, no Django: two windows see each other, also after a restart."""
    one, other = windows.open(minimal.url), windows.open(minimal.url, viewport=PHONE)
    for page in (one, other):
        expect(page.locator("#status")).to_have_text("Connected")
    one.keyboard.type("<hello>")
    one.keyboard.press("Enter")
    for page in (one, other):
        expect(page.locator("li")).to_have_text(["<hello>"])
    minimal.stop()
    for page in (one, other):
        expect(page.locator("#status")).to_contain_text("Connection lost")
    minimal.start()
    for page in (one, other):
        expect(page.locator("#status")).to_have_text("Connected")
    other.get_by_label("Message").fill("again")
    other.get_by_role("button", name="Send").click()
    expect(one.locator("li")).to_have_text(["again", "<hello>"])
    snap(one, "minimal")
    snap(other, "minimal-phone")


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_a_phone(demo: Example, windows: Windows, name: str) -> None:
    """No page is wider than a small phone, and its buttons are large enough for a finger."""
    page = windows.open(demo.url + PAGES[name], viewport={"width": 320, "height": 568}, has_touch=True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for button in page.locator("main button").all():
        assert button.bounding_box()["height"] >= 44
    snap(page, f"{name}-phone")
