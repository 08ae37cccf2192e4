"""The chat example in two browser windows (apps.md rows 3 and 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .conftest import Example, Windows, expect, runserver, snap, uvicorn

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ASYNC = "&consumers=async"
BOTH = pytest.mark.parametrize("demo", [runserver, uvicorn], indirect=True, ids=["runserver", "uvicorn"])


def enter(windows: Windows, demo: Example, room: str, name: str = "", *, query: str = "", **options) -> Page:
    """A window in ``room``, connected."""
    page = windows.open(f"{demo.url}/chat/{room}/?name={name}{query}", **options)
    connected(page)
    return page


def connected(page: Page) -> None:
    expect(page.locator("#connection")).to_have_text("Connected")


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def log_in(page: Page, demo: Example, name: str) -> None:
    """Through the login page, with the password that it shows."""
    page.goto(f"{demo.url}/login/")
    password = page.locator("main code").inner_text()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("header.site")).to_contain_text(f"Logged in as {name}")


def bubbles(page: Page) -> Locator:
    return page.locator(".bubble")


@BOTH
@pytest.mark.parametrize(("room", "one", "other"), [("plain", "", ""), ("async", ASYNC, ASYNC), ("both", "", ASYNC)])
def test_two_windows_see_each_other(demo: Example, windows: Windows, room: str, one: str, other: str) -> None:
    """What one says, both see, under the sender's name; plain and async consumers share the room."""
    ann = enter(windows, demo, room, "Ann", query=one)
    ben = enter(windows, demo, room, "Ben", query=other)
    say(ann, "Hello Ben")
    expect(bubbles(ben).locator(".said")).to_have_text(["Hello Ben"])
    say(ben, "Hello Ann")
    for page in (ann, ben):
        expect(bubbles(page).locator(".who b")).to_have_text(["Ann", "Ben"])
        expect(bubbles(page).locator(".said")).to_have_text(["Hello Ben", "Hello Ann"])
    expect(ann.locator(".bubble.mine .said")).to_have_text(["Hello Ben"])


def test_rooms_are_apart(demo: Example, windows: Windows) -> None:
    """What is said in one room does not reach another."""
    here, there, witness = (enter(windows, demo, room) for room in ("here", "there", "there"))
    say(here, "for here")
    expect(bubbles(here)).to_have_count(1)
    say(there, "for there")
    expect(bubbles(witness).locator(".said")).to_have_text(["for there"])


def test_a_guest_without_a_name_is_anonymous(demo: Example, windows: Windows) -> None:
    """Row 3: a frame without a name is from Anonymous."""
    one, other = enter(windows, demo, "nameless"), enter(windows, demo, "nameless")
    say(one, "who am I?")
    expect(bubbles(other).locator(".who b")).to_have_text(["Anonymous"])


def test_text_is_never_read_as_html(demo: Example, windows: Windows) -> None:
    """Messages and names are shown as they were typed."""
    page = enter(windows, demo, "escaping", "%3Ci%3Eeve")
    say(page, "<img src=x onerror=alert(1)>")
    expect(bubbles(page).locator(".said")).to_have_text(["<img src=x onerror=alert(1)>"])
    expect(bubbles(page).locator(".who b")).to_have_text(["<i>eve"])
    assert page.locator(".log img, .log i").count() == 0


@pytest.mark.parametrize("query", ["", ASYNC])
def test_errors_are_shown_and_the_socket_stays_open(demo: Example, windows: Windows, query: str) -> None:
    """Row 4: an empty message and one over 1000 characters are answered with an error; then one goes on."""
    page = enter(windows, demo, "errors", "Ann", query=query)
    problem = page.get_by_role("alert")
    say(page, "   ")
    expect(problem).to_have_text("The message is empty.")
    say(page, "x" * 1001)
    expect(problem).to_have_text("The message is too long: 1001 characters, of at most 1000.")
    expect(page.get_by_label("Message", exact=True)).to_have_value("x" * 1001)
    snap(page, "chat-error")
    say(page, "x" * 1000)
    expect(bubbles(page).locator(".said")).to_have_text(["x" * 1000])
    expect(problem).to_be_hidden()
    connected(page)


def test_the_first_page_asks_for_a_room(demo: Example, windows: Windows) -> None:
    """Row 3: a form with a room and a name, by keyboard alone."""
    page = windows.open(f"{demo.url}/chat/")
    snap(page, "chat-index")
    page.keyboard.type("my-room")
    page.keyboard.press("Tab")
    page.keyboard.type("Zoë")
    page.keyboard.press("Enter")
    connected(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("my-room")
    page.keyboard.type("typed at once")
    page.keyboard.press("Enter")
    expect(bubbles(page).locator(".who b")).to_have_text(["Zoë"])


def test_a_room_with_a_bad_name_is_refused_in_words(demo: Example, windows: Windows) -> None:
    """The server checks the name too, for browsers that do not."""
    page = windows.open(java_script_enabled=False)
    page.goto(f"{demo.url}/chat/?room=two+words")
    expect(page.get_by_role("alert")).to_contain_text("without spaces")
    expect(page.get_by_label("Room")).to_have_value("two words")
    assert len(windows.problems) == 2, windows.problems
    assert all("400" in problem for problem in windows.problems)  # the status, and the console about it
    windows.problems.clear()


@BOTH
@pytest.mark.parametrize("query", ["", ASYNC])
def test_who_is_online(demo: Example, windows: Windows, query: str) -> None:
    """Row 4: logged-in users are listed; coming and going is announced once, however many windows one has."""
    room = f"online{len(query)}"
    guest = enter(windows, demo, room, "Guest", query=query)
    people, notes = guest.locator(".people li"), guest.locator(".note")
    expect(guest.locator(".people")).to_contain_text("Nobody is logged in.")
    alice, bob = windows.open(), windows.open()
    log_in(alice, demo, "alice")
    log_in(bob, demo, "bob")
    for page in (alice, bob):
        page.goto(f"{demo.url}/chat/{room}/?{query}")
        connected(page)
    expect(people).to_have_text(["alice", "bob"])
    second = alice.context.new_page()
    second.goto(f"{demo.url}/chat/{room}/?{query}")
    connected(second)
    expect(second.locator(".people li")).to_have_text(["alice", "bob"])
    second.close()
    say(alice, "it is me")
    expect(bubbles(guest).locator(".who b")).to_have_text(["alice"])
    alice.close()
    expect(people).to_have_text(["bob"])
    expect(notes).to_have_text([f"You are in {room}.", "alice is here", "bob is here", "alice has left"])


def test_a_user_speaks_under_the_own_name_only(demo: Example, windows: Windows) -> None:
    """The name in a logged-in user's frame does not count: the session's user does."""
    page = windows.open()
    log_in(page, demo, "bob")
    answer = page.evaluate(
        """(url) => new Promise((resolve) => {
            const socket = new WebSocket(url);
            socket.onopen = () => socket.send(JSON.stringify({message: "hi", username: "alice"}));
            socket.onmessage = ({data}) => "type" in JSON.parse(data) || resolve(data);
        })""",
        f"{demo.sockets}/ws/chat/spoof/",
    )
    assert json.loads(answer) == {"message": "hi", "username": "bob"}


@pytest.mark.parametrize("query", ["", ASYNC])
def test_a_restart_of_the_server_is_survived(own_demo: Example, windows: Windows, query: str) -> None:
    """The page says that the connection is lost, comes back by itself, and delivers what was typed meanwhile."""
    demo = own_demo
    ann = enter(windows, demo, "restart", "Ann", query=query)
    ben = enter(windows, demo, "restart", "Ben", query=query)
    frames: list[str] = []
    ann.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    say(ann, "before")
    expect(bubbles(ben)).to_have_count(1)
    demo.stop()
    for page in (ann, ben):
        expect(page.locator("#connection")).to_contain_text("Connection lost")
    for number in range(12):
        say(ann, f"meanwhile {number}")
    expect(ann.locator("#waiting")).to_have_text("To be sent when the connection is back: 12")
    snap(ann, "chat-lost")
    expect(bubbles(ann)).to_have_count(1)
    demo.start()
    connected(ben)
    connected(ann)
    say(ann, "after")
    expected = ["before", *(f"meanwhile {number}" for number in range(12)), "after"]
    expect(bubbles(ann).locator(".said")).to_have_text(expected)
    batches = [json.loads(frame) for frame in frames if "bulk_messages" in frame]
    assert [len(frame["messages"]) for frame in batches] == [10, 2]
    say(ben, "me too")
    expect(bubbles(ann).locator(".said").last).to_have_text("me too")


def test_it_looks_as_it_should(demo: Example, windows: Windows) -> None:
    """Three people talk, on a narrow window, a phone and a dark desktop."""
    alice, bob = (
        windows.open(viewport={"width": 800, "height": 680}),
        windows.open(viewport={"width": 380, "height": 680}),
    )
    for page, name in ((alice, "alice"), (bob, "bob")):
        log_in(page, demo, name)
        page.goto(f"{demo.url}/chat/lobby/")
        connected(page)
    guest = enter(windows, demo, "lobby", "Charlie", color_scheme="dark")
    talk = [
        (alice, "Morning! The sockets moved to the new server last night."),
        (bob, "I did not notice a thing."),
        (guest, "My page said “Connection lost” for two seconds, then it was back."),
        (alice, "That was the deployment. What you typed meanwhile was sent afterwards?"),
        (guest, "Yes, all of it."),
        (bob, "And the consumers are still the functions we wrote years ago 😀"),
    ]
    for number, (page, text) in enumerate(talk, start=1):
        say(page, text)
        for reader in (alice, bob, guest):
            expect(bubbles(reader)).to_have_count(number)
    snap(alice, "chat-room")
    snap(bob, "chat-room-phone")
    snap(guest, "chat-room-dark")
