"""A real browser in front of the live server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from routechan import Group
from routechan_django.test import ChannelLiveServerTestCase
from tests.integration.browser.conftest import FLAGS, expect, missing, playwright_api

from .test_liveserver import SITE


@pytest.mark.browser
@override_settings(**SITE)
class BrowserTests(ChannelLiveServerTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        chromium = shutil.which("chromium")
        if playwright_api is None:
            missing("playwright: pip install -e '.[test]'")
        if chromium is None:
            missing("chromium: apt-get install chromium")
        super().setUpClass()
        # Playwright's plain API keeps an event loop in the thread of the test, where Django would refuse the database.
        unsafe = mock.patch.dict(os.environ, {"DJANGO_ALLOW_ASYNC_UNSAFE": "true"})
        unsafe.start()
        cls.addClassCleanup(unsafe.stop)
        playwright = playwright_api.sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        cls.addClassCleanup(cls.browser.close)

    def test_a_page_opens_a_socket(self) -> None:
        """TC-35 to TC-37: a browser loads a page, its socket is accepted, and the test's own messages reach it."""
        get_user_model().objects.all().delete()  # those of tests without transactions
        get_user_model().objects.create(username="of-the-test")
        windows = [self.browser.new_page(), self.browser.new_page()]
        for window in windows:
            window.goto(self.live_server_url + "/page/")
            expect(window).to_have_title("open")
        windows[0].evaluate("socket.send('from the page')")
        Group("everybody").send({"text": "from the test"})
        for window in windows:
            expect(window.locator("li")).to_have_count(2)
            assert sorted(window.locator("li").all_text_contents()) == ["from the page", "from the test"]
        windows[0].goto(self.live_server_url + "/users/")
        expect(windows[0].locator("body")).to_have_text("of-the-test of-the-view")
        assert get_user_model().objects.count() == 2
        for window in windows:
            window.close()


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[playwright_api.Browser]:
    """A browser, and the site that it is to see."""
    chromium = shutil.which("chromium")
    if playwright_api is None:
        missing("playwright: pip install -e '.[test]'")
    if chromium is None:
        missing("chromium: apt-get install chromium")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with override_settings(**SITE), playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


@pytest.mark.browser
def test_the_fixture_for_pytest(browser: playwright_api.Browser, routechan_live_server: Any) -> None:
    """``routechan_live_server`` serves a browser its page and its socket."""
    page = browser.new_page()
    page.goto(routechan_live_server.url + "/page/")
    expect(page).to_have_title("open")
    page.evaluate("socket.send('from the page')")
    Group("everybody").send({"text": "from the test"})
    expect(page.locator("li")).to_have_count(2)
