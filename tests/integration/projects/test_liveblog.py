"""The live blog: a group for each slug, fed by the model's own save()."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.browser.conftest import expect

from .conftest import People

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

PROJECT = "liveblog"


def read(people: People, slug: str) -> Page:
    page = people(path=f"/blog/{slug}/", window=1 if slug == "launch" else 2)
    expect(page.locator("#status")).to_have_text("Live")
    return page


def posts(page: Page) -> Locator:
    return page.locator("#posts article p")


def test_a_post_saved_in_the_admin_appears(people: People) -> None:
    """UE-07: a send from save() in an admin view reaches those who look at this blog, and nobody else."""
    reader, other = read(people, "launch"), read(people, "weather")
    admin = people("editor", "/admin/blogs/post/add/")

    def write(body: str, button: str) -> None:
        admin.get_by_label("Body").fill(body)
        admin.get_by_role("button", name=button, exact=True).click()

    admin.get_by_label("Blog").select_option(label="The launch")
    write("Ten <i>minutes</i>", "Save and continue editing")
    expect(posts(reader)).to_have_text(["Ten <i>minutes</i>"])
    expect(admin.get_by_text("was added successfully")).to_be_visible()
    write("Five minutes", "Save and add another")
    expect(posts(reader)).to_have_text(["Five minutes"])
    expect(admin.get_by_text("was changed successfully")).to_be_visible()
    admin.get_by_label("Blog").select_option(label="The weather")
    write("Dry", "Save")
    expect(posts(other)).to_have_text(["Dry"])
    expect(posts(reader)).to_have_text(["Five minutes"])
    reader.reload()
    expect(posts(reader)).to_have_text(["Five minutes"])


def test_a_post_from_a_shell_appears(people: People) -> None:
    """A management command is another process: what it sends at once arrives where the layer crosses processes."""
    if people.site.setup.layer == "memory":
        pytest.skip("no other process sees the layer in memory")
    reader = read(people, "weather")
    code = "from blogs.models import Blog; Blog.objects.get(slug='weather').posts.create(body='From a shell')"
    people.site.manage("shell", "-c", code)
    expect(posts(reader).first).to_have_text("From a shell")


def test_a_blog_that_is_not_there_is_refused_in_words(people: People) -> None:
    """UE-03, DM-01: a text with a close opens the socket, says why, and closes it."""
    page = people()
    answer = page.evaluate(
        """() => new Promise((resolve) => {
            const seen = [];
            setTimeout(() => resolve(seen), 10000);
            const socket = new WebSocket(`ws://${location.host}/blog/nothing/stream/`);
            socket.onopen = () => seen.push("open");
            socket.onmessage = ({data}) => seen.push(data);
            socket.onclose = ({code}) => { seen.push(code); resolve(seen); };
        })"""
    )
    assert answer == ["open", '{"error": "bad_slug"}', 1000]
