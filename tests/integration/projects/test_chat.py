"""The chat with rooms, as a whole code base of 1.x wrote it: auth, sessions, commands on a channel of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.browser.conftest import expect

from .conftest import People

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

PROJECT = "chat"


def enter(people: People, user: str, *rooms: str) -> Page:
    page = people(user)
    expect(page.locator("#status")).to_have_text("Connected")
    for room in rooms:
        button(page, room, "Join").click()
        expect(page.get_by_role("heading", name=room)).to_be_visible()
    return page


def button(page: Page, room: str, name: str) -> Locator:
    return page.locator("#rooms li", has_text=room).get_by_role("button", name=name)


def lines(page: Page, room: str) -> Locator:
    return page.locator("section", has=page.get_by_role("heading", name=room)).locator(".messages li")


def say(page: Page, room: str, text: str) -> None:
    section = page.locator("section", has=page.get_by_role("heading", name=room))
    section.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")


def told(page: Page, command: dict[str, object]) -> dict[str, object]:
    """What the server answers to the command on a socket of the page's user."""
    answer: dict[str, object] = page.evaluate(
        """(command) => new Promise((resolve) => {
            setTimeout(() => resolve({}), 10000);
            const socket = new WebSocket(`ws://${location.host}/chat/stream/`);
            socket.onopen = () => socket.send(JSON.stringify(command));
            socket.onmessage = ({data}) => { resolve(JSON.parse(data)); socket.close(); };
        })""",
        command,
    )
    return answer


def test_two_people_talk(people: People) -> None:
    """UE-01, UE-04: what one says reaches the other, under the session's name, and both in order."""
    ann, ben = enter(people, "ann", "Garden"), enter(people, "ben", "Garden")
    expect(lines(ann, "Garden").last).to_have_text("ben joined")
    say(ann, "Garden", "Hello Ben")
    expect(lines(ben, "Garden").last).to_have_text("ann: Hello Ben")
    say(ben, "Garden", "Hello <b>Ann</b>")
    expect(lines(ann, "Garden").last).to_have_text("ben: Hello <b>Ann</b>")
    expect(lines(ben, "Garden")).to_have_text(["ben joined", "ann: Hello Ben", "ben: Hello <b>Ann</b>"])


def test_who_joins_hears_it_and_who_leaves_does_not(people: People) -> None:
    """GR-03, PM-04: sends wait for the end of the consumer, adding and discarding does not."""
    ann = enter(people, "ann", "Kitchen")
    expect(lines(ann, "Kitchen")).to_have_text(["ann joined"])
    ben = enter(people, "ben", "Kitchen")
    fresh = enter(people, "sue")
    button(fresh, "Kitchen", "Join").click()
    button(fresh, "Kitchen", "Leave").click()
    expect(fresh.get_by_role("heading", name="Kitchen")).to_have_count(0)
    for page in (ann, ben):
        expect(lines(page, "Kitchen").last).to_have_text("sue left")
    assert not [frame for frame in people.frames[fresh] if '"left"' in frame]
    say(ann, "Kitchen", "gone?")
    expect(lines(ben, "Kitchen").last).to_have_text("ann: gone?")
    assert not [frame for frame in people.frames[fresh] if "gone?" in frame]


def test_rooms_are_apart(people: People) -> None:
    """One socket is in two rooms, each with its own group."""
    both, one = enter(people, "ann", "Hall", "Cellar"), enter(people, "ben", "Cellar")
    say(both, "Hall", "roses")
    expect(lines(both, "Hall").last).to_have_text("ann: roses")
    say(both, "Cellar", "soup")
    expect(lines(one, "Cellar").last).to_have_text("ann: soup")
    assert not [frame for frame in people.frames[one] if "roses" in frame]


def test_a_room_for_staff_is_refused(people: People) -> None:
    """UE-06: the exception of the project's own decorator is told; staff gets in."""
    ann, sue = enter(people, "ann"), enter(people, "sue", "Office")
    button(ann, "Office", "Join").click()
    expect(ann.get_by_role("alert")).to_have_text("ROOM_ACCESS_DENIED")
    expect(ann.get_by_role("heading", name="Office")).to_have_count(0)
    say(sue, "Office", "staff only")
    expect(lines(sue, "Office").last).to_have_text("sue: staff only")
    button(ann, "Attic", "Join").click()
    expect(ann.get_by_role("alert")).to_have_text("")


def test_what_is_refused(people: People) -> None:
    """A room one is not in, a room that is not there; the socket stays open (it answered)."""
    page = enter(people, "ann")
    assert told(page, {"command": "send", "room": 1, "message": "x"}) == {"error": "ROOM_NOT_JOINED"}
    assert told(page, {"command": "join", "room": 4000}) == {"error": "ROOM_INVALID"}


def test_nobody_is_asked_to_log_in(people: People) -> None:
    """The page sends to the login form, and a socket without a session is anonymous (AU-02)."""
    page = people()
    expect(page).to_have_url(f"{people.site.url}/accounts/login/?next=/")
    assert told(page, {"command": "join", "room": 1}) == {"error": "USER_HAS_TO_LOGIN"}


def test_a_closed_window_leaves_its_rooms(people: People) -> None:
    """The disconnect consumer knows the rooms from the channel session, and the user too."""
    ann, ben = enter(people, "ann", "Porch"), enter(people, "ben", "Porch")
    expect(lines(ann, "Porch").last).to_have_text("ben joined")
    ben.close()
    expect(lines(ann, "Porch").last).to_have_text("ben left")
    say(ann, "Porch", "alone")
    expect(lines(ann, "Porch").last).to_have_text("ann: alone")
