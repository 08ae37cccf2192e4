"""``manage.py runserver``, as a real process: sockets, pages, static files, and new code after a change."""

from __future__ import annotations

import socket
import subprocess
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from routechan_django.management.commands.runserver import Command
from tests.processes import ServerProcess, free_port

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

MANAGE = """
    import os, sys
    from django.core.management import execute_from_command_line

    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    execute_from_command_line(sys.argv)
"""

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
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def server(*options: str) -> ServerProcess:
        port = free_port()
        return ServerProcess(["manage.py", "runserver", f"127.0.0.1:{port}", *options], port, cwd=tmp_path)

    return server


def said(port: int, text: str) -> str:
    with connect(f"ws://127.0.0.1:{port}/echo/") as socket:
        socket.send(text)
        return str(socket.recv(timeout=10))


def fetched(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


@pytest.mark.slow
def test_sockets_pages_and_static_files(project: Project) -> None:
    """One command serves all three, although staticfiles stands before this app and has a runserver too (AP-04)."""
    with project("--noreload") as server:
        assert said(server.port, "hello") == "first hello"
        assert fetched(server.port, "/page/") == "a page"
        assert fetched(server.port, "/static/style.css") == "body { color: teal }"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetched(server.port, "/nowhere/")


@pytest.mark.slow
def test_new_code_after_a_change(project: Project, tmp_path: Path) -> None:
    """A changed file restarts the server, and the next socket meets the new consumer."""
    with project() as server:
        assert said(server.port, "hello") == "first hello"

        def changed() -> bool:
            try:
                answer = said(server.port, "hello")
            except (OSError, WebSocketException):
                return False  # between the two
            if answer == "first hello":
                # Written until it is seen: Django's reloader does not look at files in its first second.
                (tmp_path / "project/routing.py").write_text(textwrap.dedent(ROUTING.replace("WORD", "second")))
            return answer == "second hello"

        server.wait_until(changed, "the new code answers")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests.django.nowhere.application", "cannot be imported: No module named 'tests.django.nowhere'"),
        ("tests.django.urls.application", 'cannot be imported: .*does not define a "application"'),
        ("tests.django.urls", "which is a module and no ASGI application"),
    ],
)
def test_an_application_that_is_none(path: str, text: str) -> None:
    """Row 5 of the applications: one that cannot be imported, and a module, are named with what to write."""
    with (
        override_settings(ASGI_APPLICATION=path),
        pytest.raises(CommandError, match=rf"ASGI_APPLICATION is '{path}'.*{text}.*project.asgi.application"),
    ):
        Command().get_application()


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--noreload",)])
def test_a_port_in_use(project: Project, options: tuple[str, ...]) -> None:
    """The command ends and says what to do, with the reloader too."""
    server = project(*options)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        done = subprocess.run(
            server.arguments, cwd=server.cwd, env=server.environment, capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 1
    assert f"Error: port {server.port} is already in use; choose another one" in done.stderr
    assert "Serving" not in done.stdout


def test_without_a_server_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uvicorn the command says how to install it, before any reloader runs."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"pip install 'routechan\[server\]'"):
        call_command("runserver")


@pytest.mark.slow
def test_without_asgi(project: Project) -> None:
    """``--noasgi`` runs Django's own server, without sockets."""
    with project("--noreload", "--noasgi") as server:
        assert fetched(server.port, "/page/") == "a page"
        with pytest.raises(WebSocketException):
            said(server.port, "hello")
