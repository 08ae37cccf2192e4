"""A real browser in front of the real examples, served as a user would serve them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.processes import PATIENCE, ROOT, ServerProcess, free_port

playwright_api = None
with suppress(ImportError):
    import playwright.sync_api as playwright_api
expect = None if playwright_api is None else playwright_api.expect
if expect is not None:
    expect.set_options(timeout=PATIENCE * 1000)

CHAT = ROOT / "examples" / "chat"
SCREENSHOTS = Path(__file__).parent / "screenshots"
DESKTOP = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 780}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def missing(what: str) -> None:
    """A browser is optional on a laptop, not in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what} for the browser tests")
    pytest.skip(f"the browser tests need {what}")


@pytest.fixture(scope="package")
def browser() -> Iterator[playwright_api.Browser]:
    chromium = shutil.which("chromium")
    if playwright_api is None:
        missing("playwright: pip install -e '.[test]'")
    if chromium is None:
        missing("chromium: apt-get install chromium")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


class Windows:
    """Opens browser windows that share nothing, and watches what goes wrong in them. Lifetime: test."""

    def __init__(self, browser: playwright_api.Browser) -> None:
        self._browser = browser
        self._contexts: list[playwright_api.BrowserContext] = []
        self.problems: list[str] = []
        #: What the console may say.
        self.expected = ["WebSocket connection to"]

    def open(self, url: str = "about:blank", *, viewport: dict[str, int] = DESKTOP, **options) -> playwright_api.Page:
        context = self._browser.new_context(viewport=viewport, **options)
        context.set_default_timeout(PATIENCE * 1000)
        self._contexts.append(context)
        context.on("weberror", lambda error: self.problems.append(str(error.error)))
        context.on("console", self._console)
        context.on("request", self._request)
        context.on("response", self._response)
        page = context.new_page()
        page.goto(url)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _console(self, message: playwright_api.ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.problems.append(f"console: {message.text}")

    def _request(self, request: playwright_api.Request) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.problems.append(f"a page asked another host: {request.url}")

    def _response(self, response: playwright_api.Response) -> None:
        if response.status >= 400:
            self.problems.append(f"{response.status} {response.url}")


@pytest.fixture
def windows(browser: playwright_api.Browser) -> Iterator[Windows]:
    """Windows to open; a script error, a missing file or a request to another host fails the test."""
    opened = Windows(browser)
    yield opened
    opened.close()
    assert not opened.problems


class Example(ServerProcess):
    """An example's server, at ``url``."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sockets(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's database after ``manage.py migrate``."""
    path = tmp_path_factory.mktemp("migrated") / "demo.sqlite3"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEMO_DATABASE": str(path)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)  # that of the tests
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=CHAT, env=environment, check=True)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT username FROM auth_user ORDER BY username").fetchall() == [("alice",), ("bob",)]
    database.close()
    return path


def runserver(port: int) -> list[str]:
    return ["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]


def uvicorn(port: int) -> list[str]:
    return ["-m", "uvicorn", "demo_site.asgi:application", "--port", str(port)]


def serve_demo(arguments: Callable[[int], list[str]], database: Path) -> Example:
    port = free_port()
    return Example(arguments(port), port, cwd=CHAT, environment={"DEMO_DATABASE": str(database)})


@pytest.fixture(scope="package")
def demo(request: pytest.FixtureRequest, migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The demo site, by Django's development server, or the server that a test names."""
    database = shutil.copy(migrated, tmp_path_factory.mktemp("demo"))
    with serve_demo(getattr(request, "param", runserver), Path(database)) as server:
        yield server
    assert "Traceback" not in server.output


@pytest.fixture
def own_demo(migrated: Path, tmp_path: Path) -> Iterator[Example]:
    """A demo site of one's own, to stop and start again."""
    with serve_demo(runserver, Path(shutil.copy(migrated, tmp_path))) as server:
        yield server
    assert "Traceback" not in server.output


@pytest.fixture
def minimal() -> Iterator[Example]:
    """``uvicorn minimal:app``."""
    port = free_port()
    arguments = ["-m", "uvicorn", "minimal:app", "--port", str(port)]
    with Example(arguments, port, cwd=ROOT / "examples" / "minimal") as server:
        yield server
    assert "Traceback" not in server.output


def snap(page: playwright_api.Page, name: str) -> Path:
    """A screenshot of what the window shows now."""
    SCREENSHOTS.mkdir(exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=path)
    return path
