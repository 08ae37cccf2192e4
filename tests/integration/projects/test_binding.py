"""Data binding over a demultiplexer, with the browser client of 1.x on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.browser.conftest import expect

from .conftest import People

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

PROJECT = "binding"


def look(people: People, user: str = "", *, window: int = 1) -> Page:
    page = people(user, window=window)
    expect(page.locator("#status")).to_have_text("Connected")
    expect(page.locator("#me")).to_have_text(user or "nobody")
    return page


def row(page: Page, name: str) -> Locator:
    return page.locator("#values tr", has=page.get_by_role("cell", name=name, exact=True))


def create(page: Page, name: str, value: int) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Value", exact=True).fill(str(value))
    page.get_by_role("button", name="Create").click()


def test_what_one_page_changes_all_see(people: People) -> None:
    """UE-08, UE-09: create, update and delete from a browser, back to it and to the others."""
    ann, sue, nobody = look(people, "ann"), look(people, "sue"), look(people)
    create(ann, "width", 3)
    for page in (ann, sue, nobody):
        expect(row(page, "width").get_by_role("spinbutton")).to_have_value("3")
    row(sue, "width").get_by_role("spinbutton").fill("42")
    sue.keyboard.press("Tab")
    for page in (ann, nobody):
        expect(row(page, "width").get_by_role("spinbutton")).to_have_value("42")
    row(ann, "width").get_by_role("button", name="Delete").click()
    for page in (ann, sue, nobody):
        expect(row(page, "width")).to_have_count(0)


def test_what_the_admin_changes_the_pages_see(people: People) -> None:
    """BI-12: a save and a delete in the server reach the browser with the fields of the binding."""
    nobody = look(people)
    admin = people("sue", "/admin/values/value/add/")
    admin.get_by_label("Name").fill("depth")
    admin.get_by_label("Value").fill("7")
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(row(nobody, "depth").get_by_role("spinbutton")).to_have_value("7")
    admin.get_by_label("Value").fill("8")
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(row(nobody, "depth").get_by_role("spinbutton")).to_have_value("8")
    admin.goto(admin.url.replace("/change/", "/delete/"))
    admin.get_by_role("button", name="Yes, I").click()
    expect(row(nobody, "depth")).to_have_count(0)
    assert not [frame for frame in people.frames[nobody] if "locked" in frame]


def test_who_has_no_permission_changes_nothing(people: People) -> None:
    """BI-25: without permission an action is dropped in silence, and the socket stays open."""
    nobody, ann = look(people), look(people, "ann")
    create(nobody, "forbidden", 1)
    row(nobody, "height").get_by_role("button", name="Delete").click()
    nobody.get_by_label("Count").fill("four")  # frames are handled in order: this is answered after the others
    expect(nobody.locator("#counted")).to_have_text("4")
    create(ann, "allowed", 1)
    expect(row(nobody, "allowed")).to_have_count(1)
    expect(row(ann, "forbidden")).to_have_count(0)
    expect(row(ann, "height")).to_have_count(1)
    row(ann, "allowed").get_by_role("button", name="Delete").click()
    expect(row(nobody, "allowed")).to_have_count(0)


def test_streams_are_apart(people: People) -> None:
    """GN-30: the other stream's answer goes to its own callback, on the page that asked."""
    one, other = look(people, "ann"), look(people, "ann", window=2)
    one.get_by_label("Count").fill("twelve")
    expect(one.locator("#counted")).to_have_text("6")
    assert other.locator("#counted").inner_text() == ""
