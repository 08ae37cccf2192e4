"""``manage.py runserver``, as a real process: sockets, pages, static files, and new code after a change."""

from __future__ import annotations

import socket
import subprocess
import textwrap
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import WebSocketException

from tests.processes import ServerProcess, free_port
from tests.redis_servers import SingleServer, shared
from tests.unit.django.alias.running import write_files

from .projects import MANAGE, fetched, new_code_answers, said

SETTINGS = """
    SECRET_KEY = "tests only"
    DEBUG = True
    INSTALLED_APPS = ["django.contrib.staticfiles", "routechan_django"]
    ROOT_URLCONF = "project.urls"
    STATIC_URL = "/static/"
    STATICFILES_DIRS = ["static"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "routechan.layers.InMemoryChannelLayer",
            "ROUTING": "project.routing.channel_routing",
        }
    }
"""

ROUTING = """
    from routechan import route

    def echo(message):
        message.reply_channel.send({"text": "WORD " + message["text"]})

    channel_routing = [route("websocket.receive", echo, path=r"^/echo/$")]
"""

URLS = """
    from django.http import HttpResponse
    from django.urls import path

    urlpatterns = [path("page/", lambda request: HttpResponse("a page"))]
"""

pytestmark = pytest.mark.slow

Project = Callable[..., ServerProcess]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write a project; the function it gives makes its development server."""
    files = {
        "project/__init__.py": "",
        "project/settings.py": SETTINGS,
        "project/urls.py": URLS,
        "project/routing.py": ROUTING.replace("WORD", "first"),
        "manage.py": MANAGE,
        "static/style.css": "body { color: teal }",
    }
    write_files(tmp_path, files)

    def server(*options: str) -> ServerProcess:
        port = free_port()
        return ServerProcess(["manage.py", "runserver", f"127.0.0.1:{port}", *options], port, cwd=tmp_path)

    return server


def test_sockets_pages_and_static_files(project: Project) -> None:
    """One command serves all three, although staticfiles stands before this app and has a runserver too (AP-04)."""
    with project("--noreload") as server:
        assert said(server.port, "hello", "/echo/") == "first hello"
        assert fetched(server.port, "/page/") == "a page"
        assert fetched(server.port, "/static/style.css") == "body { color: teal }"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetched(server.port, "/nowhere/")


def test_new_code_after_a_change(project: Project, tmp_path: Path) -> None:
    """A changed file restarts the server, and the next socket meets the new consumer."""
    with project() as server:
        assert said(server.port, "hello", "/echo/") == "first hello"

        def change() -> None:
            (tmp_path / "project/routing.py").write_text(textwrap.dedent(ROUTING.replace("WORD", "second")))

        answers = new_code_answers(server.port, "/echo/", "first", "second", change)
        server.wait_until(answers, "the new code answers")


@pytest.fixture
def with_workers(project: Project, tmp_path: Path, pytestconfig: pytest.Config) -> Project:
    """The same project with its consumers in workers."""
    config = {"hosts": [shared(pytestconfig, SingleServer).url], "prefix": uuid.uuid4().hex}
    in_memory, redis = '"routechan.layers.InMemoryChannelLayer",', '"routechan.layers.RedisChannelLayer",'
    settings = SETTINGS.replace(in_memory, f'{redis} "CONFIG": {config!r}, "CONSUMERS": "workers",')
    write_files(tmp_path, {"project/settings.py": settings})
    return project


def test_a_worker_inside(with_workers: Project, tmp_path: Path) -> None:
    """CM-08: where consumers run in workers, the server runs one, which says so, and has new code after a change."""
    with with_workers() as server:
        assert said(server.port, "hello", "/echo/") == "first hello"
        assert 'run in workers (CONSUMERS is "workers"): in one beside this server' in server.output

        def change() -> None:
            (tmp_path / "project/routing.py").write_text(textwrap.dedent(ROUTING.replace("WORD", "second")))

        answers = new_code_answers(server.port, "/echo/", "first", "second", change)
        server.wait_until(answers, "the new code answers")


@pytest.mark.parametrize("options", [(), ("--noworker",)], ids=["worker", "noworker"])
def test_beside_runworker(with_workers: Project, tmp_path: Path, options: tuple[str, ...]) -> None:
    """CM-01: a ``runworker`` runs all consumers, as long as it is there; with ``--noworker`` nobody else does."""
    with with_workers("--noreload", *options) as server:
        advice = "start manage.py runworker"
        if options:
            server.wait_until(lambda: advice in server.output, "the advice")
        else:
            assert said(server.port, "hello", "/echo/") == "first hello"
            assert advice not in server.output
        (tmp_path / "project/routing.py").write_text(textwrap.dedent(ROUTING.replace("WORD", "runworker")))
        command = ["manage.py", "runworker"]
        worker = ServerProcess(command, 0, cwd=tmp_path)
        worker.answers = lambda: "Listening on channels" in worker.output  # type: ignore[method-assign]
        with worker:
            for _ in range(5):
                assert said(server.port, "hello", "/echo/") == "runworker hello"
        assert "CONSUMERS" not in worker.output
        if not options:
            assert said(server.port, "hello", "/echo/") == "first hello"


@pytest.mark.parametrize("options", [(), ("--noreload",)])
def test_a_port_in_use(project: Project, options: tuple[str, ...]) -> None:
    """The command ends and says what to do, with the reloader too."""
    server = project(*options)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        done = subprocess.run(
            server.arguments, cwd=server.cwd, env=server.environment, capture_output=True, text=True, timeout=110
        )
    assert done.returncode == 1
    assert f"Error: port {server.port} is already in use; choose another one" in done.stderr
    assert "Serving" not in done.stdout


def test_without_asgi(project: Project) -> None:
    """``--noasgi`` runs Django's own server, without sockets."""
    with project("--noreload", "--noasgi") as server:
        assert fetched(server.port, "/page/") == "a page"
        with pytest.raises(WebSocketException):
            said(server.port, "hello", "/echo/")
