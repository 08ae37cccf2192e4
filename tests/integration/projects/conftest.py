"""The projects as their users would serve them: through the alias, on each layer, with a browser in front."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.browser.conftest import Windows, browser, expect
from tests.processes import ServerProcess, free_port
from tests.redis_servers import SingleServer, shared
from tests.unit.django.alias.running import server

from .aliased import HERE, manage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]

PASSWORD = "secret"

#: The package that holds settings and asgi, by project.
PACKAGES = {"chat": "chatsite", "liveblog": "blogsite", "binding": "bindingsite"}


class Setup(NamedTuple):
    """How a project is served. ``consumers`` is the key CONSUMERS of its layer."""

    layer: str
    server: str
    consumers: str = "inline"

    def __str__(self) -> str:
        return "-".join(self)


SETUPS = [Setup("memory", "runserver"), Setup("redis", "uvicorn"), Setup("redis", "uvicorn", "workers")]


class Site:
    """A project that is served: its server, and its workers where the setup has them. Lifetime: module."""

    def __init__(self, project: str, setup: Setup, environment: dict[str, str]) -> None:
        self.project = project
        self.setup = setup
        self.environment = {**environment, "CONSUMERS": setup.consumers}
        self.port = free_port()
        self.processes = [self._process(*self._serve())]
        if setup.consumers == "workers":
            self.processes.append(self._process("manage.py", "runworker"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "".join(process.output for process in self.processes)

    def __enter__(self) -> Site:
        with ExitStack() as starting:
            for process in self.processes:
                starting.enter_context(process)
            for worker in self.processes[1:]:
                worker.wait_until(lambda worker=worker: "Listening on channels" in worker.output, "it listens")
            starting.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:  # the server before its workers: it waits for what they do with the last events
            process.stop()

    def manage(self, *arguments: str) -> str:
        """What ``manage.py ARGUMENTS`` prints, beside the server."""
        return manage(self.project, *arguments, **self.environment)

    def _serve(self) -> tuple[str, ...]:
        if self.setup.server == "runserver":
            return ("manage.py", "runserver", "--noreload", f"127.0.0.1:{self.port}")
        application = f"{PACKAGES[self.project]}.asgi:channel_layer"
        return ("-m", "uvicorn", application, "--port", str(self.port))

    def _process(self, *arguments: str) -> ServerProcess:
        # A worker has no port of its own: the server, started before it, answers in its place.
        return server(HERE / self.project, arguments, self.port, **self.environment)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A project's database after ``manage.py migrate``, made when first asked for."""
    made: dict[str, Path] = {}

    def database(project: str) -> Path:
        if project not in made:
            path = tmp_path_factory.mktemp(project) / "migrated.sqlite3"
            manage(project, "migrate", "-v0", DATABASE=str(path))
            made[project] = path
        return made[project]

    return database


@pytest.fixture(scope="module", params=SETUPS, ids=str)
def site(
    request: pytest.FixtureRequest, migrated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The module's ``PROJECT``, served; a traceback in what it prints is an error."""
    project, setup = request.module.PROJECT, request.param
    database = shutil.copy(migrated(project), tmp_path_factory.mktemp(f"{project}-{setup}") / "db.sqlite3")
    environment = {"DATABASE": str(database)}
    if setup.layer == "redis":
        redis = shared(request.config, SingleServer)
        environment |= {"REDIS_URL": f"redis://127.0.0.1:{redis.port}", "REDIS_PREFIX": secrets.token_hex(6)}
    with Site(project, setup, environment) as served:
        yield served
    assert "Traceback" not in served.output, served.output


class People:
    """The browser windows of a site's users, opened once and used by test after test. Lifetime: module.

    ``frames`` are what a page's sockets received since it was last opened.
    """

    def __init__(self, site: Site, windows: Windows) -> None:
        self.site = site
        self.windows = windows
        self.frames: dict[Page, list[str]] = {}
        self._pages: dict[tuple[str, int], Page] = {}
        self._logins: dict[str, Any] = {}

    def __call__(self, user: str = "", path: str = "/", *, window: int = 1) -> Page:
        """``path`` as ``user`` sees it, logged in by the form the first time; "" is nobody."""
        page = self._pages.get((user, window))
        if page is None or page.is_closed():
            known = {"storage_state": self._logins[user]} if user in self._logins else {}
            page = self._pages[user, window] = self.windows.open(**known)
            self._listen(page)
        if user and user not in self._logins:
            self._log_in(page, user)
        self.frames[page].clear()
        page.goto(self.site.url + path)
        return page

    def _listen(self, page: Page) -> None:
        frames = self.frames.setdefault(page, [])
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))

    def _log_in(self, page: Page, user: str) -> None:
        page.goto(f"{self.site.url}{'/admin/login/' if self.site.project == 'liveblog' else '/accounts/login/'}")
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_label("Password")).to_have_count(0)
        self._logins[user] = page.context.storage_state()


@pytest.fixture(scope="module")
def everybody(site: Site, browser: Browser) -> Iterator[People]:
    windows = Windows(browser)
    yield People(site, windows)
    windows.close()


@pytest.fixture
def people(everybody: People) -> Iterator[People]:
    """Windows of users; a script error, a missing file or a request to another host fails the test."""
    everybody.windows.problems.clear()
    yield everybody
    assert not everybody.windows.problems
