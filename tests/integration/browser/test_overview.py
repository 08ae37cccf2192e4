"""The page in Django's admin, in a browser: on a desktop and on a phone."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.processes import ROOT, ServerProcess, free_port
from tests.redis_servers import SingleServer, shared

from .conftest import DESKTOP, PHONE, SCREENSHOTS, Windows

pytestmark = pytest.mark.browser

MAKE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_superuser("ada", password="lovelace")
"""


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """The site, with a superuser."""
    port = free_port()
    environment = {
        "FOLDER": str(tmp_path),
        "REDIS": shared(request.config, SingleServer).url,
        "REDIS_PREFIX": secrets.token_hex(6),
        "DJANGO_SETTINGS_MODULE": "tests.integration.browser.admin_site.settings",
    }
    application = "tests.integration.browser.admin_site.asgi:application"
    server = ServerProcess(["-m", "uvicorn", application, "--port", str(port)], port, environment=environment)
    subprocess.run([sys.executable, "-c", MAKE], env=server.environment, cwd=ROOT, check=True)
    with server:
        yield server


@pytest.mark.parametrize(("name", "viewport"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_the_page(windows: Windows, site: ServerProcess, name: str, viewport: dict[str, int]) -> None:
    """From the index of the admin to the members of a group; a phone scrolls tables, and never the page, sideways."""
    host = f"127.0.0.1:{site.port}"
    with connect(f"ws://{host}/django/"), connect(f"ws://{host}/django/"), connect(f"ws://{host}/channels/"):
        page = windows.open(f"http://{host}/admin/", viewport=viewport)
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", "lovelace")
        page.click("[type=submit]")
        page.click("#content-main a[href$='/overview/']")
        assert page.title().startswith("Channels now")
        assert page.locator(".sums li").all_inner_texts()[:2] == ["1 process", "3 open sockets"]
        page.click("text=chat-django")
        assert page.locator(".members li").count() == 2
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"overview-{name}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.click("text=Reload every few seconds")
        assert page.locator("meta[http-equiv=refresh]").count() == 1
