"""The tutorial, from an empty folder to two servers, a worker and a proxy: its own files, its own commands."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.documents import TUTORIAL
from tests.integration.browser.conftest import Windows, expect, missing

from .reader import PASSWORD, Reader

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: What lets somebody who is not root start nginx, who would else write into folders of the system.
AS_ANYBODY = "http {\n    access_log off;\n" + "".join(
    f"    {kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def log_in(windows: Windows, url: str, name: str) -> Page:
    """A window in which ``name`` has logged in by the form."""
    page = windows.open(url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text(f"You are {name}.")).to_be_visible()
    return page


def say(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Send").click()


def lines(page: Page) -> list[str]:
    return page.locator("#lines li").all_inner_texts()


def chat_in_one_process(reader: Reader, windows: Windows) -> None:
    one, other = windows.open(reader.url()), windows.open(reader.url())
    say(one, "Hello")
    for page in (one, other):
        expect(page.locator("#log")).to_have_text("Hello")


def chat_with_log_in(reader: Reader, windows: Windows) -> None:
    ann, ben = (log_in(windows, reader.url(), name) for name in ("ann", "ben"))
    ann.get_by_role("link", name="the admin").click()
    ann.get_by_label("Slug").fill("lobby")
    ann.get_by_label("Title").fill("Lobby")
    ann.get_by_role("button", name="Save", exact=True).click()
    expect(ann.get_by_text("was added successfully")).to_be_visible()
    ann.goto(reader.url())
    ann.get_by_role("link", name="Lobby").click()
    expect(ann.locator("#state")).to_have_text("Connected")
    say(ann, "Nobody is here")
    expect(ann.locator("#lines")).to_have_text("ann: Nobody is here")
    ben.goto(f"{reader.url()}/rooms/lobby/")
    expect(ben.locator("#lines")).to_have_text("ann: Nobody is here")
    say(ben, "I am")
    expect(ann.locator("#lines li")).to_have_text(["ann: Nobody is here", "ben: I am"])

    again = ben.context.new_page()
    again.goto(reader.url())
    again.get_by_role("button", name="Log out").click()
    expect(ben.locator("#state")).to_have_text("Connecting again ...")
    say(ann, "He has left")
    expect(ann.locator("#lines li")).to_have_count(3)
    assert len(lines(ben)) == 2


def chat_across_servers(reader: Reader, windows: Windows) -> None:
    ann = log_in(windows, reader.url(8001), "ann")
    ben = log_in(windows, reader.url(8002), "ben")
    for page, port in ((ann, 8001), (ben, 8002)):
        page.goto(f"{reader.url(port)}/rooms/lobby/")
        expect(page.locator("#lines li")).to_have_count(3)
    say(ann, "From the one")
    expect(ben.locator("#lines li").last).to_have_text("ann: From the one")
    say(ben, "From the other")
    expect(ann.locator("#lines li").last).to_have_text("ben: From the other")

    [worker] = [command for command in reader.served if "runworker" in command.arguments]
    worker.stop()
    say(ann, "No worker")
    servers = reader.served[:2]
    servers[0].wait_until(lambda: "No worker has taken an event" in servers[0].output, "it misses the worker")
    reader.type("python manage.py runworker --threads 8")
    expect(ben.locator("#lines li").last).to_have_text("ann: No worker")
    assert [len(lines(page)) for page in (ann, ben)] == [6, 6], "no page has connected again, or lost a line"
    expect(ben.locator("#state")).to_have_text("Connected")

    through_the_proxy = log_in(windows, reader.url(8000), "ann")
    through_the_proxy.goto(f"{reader.url(8000)}/rooms/lobby/")
    expect(through_the_proxy.locator("#lines li")).to_have_count(6)
    say(through_the_proxy, "By way of nginx")
    expect(ben.locator("#lines li").last).to_have_text("ann: By way of nginx")


@pytest.mark.timeout(300)
def test_the_tutorial(reader: Reader, windows: Windows) -> None:
    """Who types what the pages say, and nothing else, has what they promise at the end of each."""
    if shutil.which("nginx") is None:
        missing("nginx: apt-get install nginx")
    chat, login, tests, production = TUTORIAL
    reader.read(chat)
    chat_in_one_process(reader, windows)
    reader.read(login)
    chat_with_log_in(reader, windows)
    reader.read(tests)
    reader.written = lambda code: code.replace("http {\n", AS_ANYBODY)
    reader.read(production)
    chat_across_servers(reader, windows)
    # Chromium asks for an icon, which these pages do not have.
    windows.problems = [problem for problem in windows.problems if "404 (Not Found)" not in problem]
