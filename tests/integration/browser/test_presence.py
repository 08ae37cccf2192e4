"""The presence example: names come and go on all pages, a page that loads again does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .conftest import PHONE, Example, Windows, expect, snap

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Page


def enter(windows: Windows, demo: Example, name: str, **options) -> Page:
    page = windows.open(f"{demo.url}/presence/?name={name}", **options)
    expect(page.locator("#connection")).to_have_text("Connected")
    return page


def test_who_is_here(own_demo: Example, windows: Windows) -> None:
    """Each name once, however many windows; a reload is neither a leave nor a join; the last window is a leave."""
    ann = enter(windows, own_demo, "Ann", viewport=PHONE)
    people, news = ann.locator("#people li"), ann.locator(".note")
    expect(people).to_have_text(["Ann"])
    ben = enter(windows, own_demo, "Ben")
    expect(people).to_have_text(["Ann", "Ben"])
    expect(ben.locator("#people li")).to_have_text(["Ann", "Ben"])
    second = enter(windows, own_demo, "ben")
    ben.reload()
    expect(ben.locator("#people li")).to_have_text(["Ann", "Ben"])
    second.close()
    zoe = enter(windows, own_demo, "Zoë%20<b>")
    expect(people).to_have_text(["Ann", "Ben", "Zoë <b>"])
    snap(ann, "presence-phone")
    zoe.close()
    expect(people).to_have_text(["Ann", "Ben"])
    expect(news).to_have_text(["Ann is here", "Ben is here", "Zoë <b> is here", "Zoë <b> has left"])
    ben.close()
    expect(news.last).to_have_text("Ben has left")
    expect(people).to_have_text(["Ann"])


def test_it_asks_for_a_name(demo: Example, windows: Windows) -> None:
    """By keyboard alone, on a phone."""
    page = windows.open(f"{demo.url}/presence/", viewport=PHONE)
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("Cleo")
    page.keyboard.press("Enter")
    expect(page.locator("#people li")).to_have_text(["Cleo"])
