"""The plugin for pytest, in projects with and without Django and pytest-django."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

NO_DJANGO = """
import sys

import pytest


def test_nothing_is_imported():
    assert "routechan_django.pytest_plugin" in sys.modules
    assert [name for name in ("django", "routechan", "redis", "msgpack", "uvicorn") if name in sys.modules] == []


@pytest.mark.parametrize("fixture", ["routechan_client", "routechan_live_server", "routechan_sent"])
def test_fixture(request, fixture):
    request.getfixturevalue(fixture)
"""

TESTS = """
import asyncio
import urllib.request

import pytest
from websockets.sync.client import connect

from routechan import Channel, Group
from routechan_django.test import WSClient


def test_client(routechan_client):
    assert type(routechan_client) is WSClient
    routechan_client.send_and_consume("websocket.receive", path="/async/", text={"n": 1})
    assert routechan_client.receive() == {"n": 1}


def test_client_in_async_code(routechan_client):
    async def talk():
        await routechan_client.asend_and_consume("websocket.receive", path="/async/", text={"n": 1})
        return await routechan_client.areceive()

    assert asyncio.run(talk()) == {"n": 1}


@pytest.mark.parametrize("number", [1, 2])
def test_sent(routechan_sent, number):
    assert routechan_sent.all() == []
    Channel("thumbnail").send({"id": number}, delay=60)
    Group("chat").send({"text": "hello"})
    assert routechan_sent.channel("thumbnail") == [{"id": number}]
    assert routechan_sent.group("chat") == [{"text": "hello"}]
    assert routechan_sent.channel("chat") == routechan_sent.group("thumbnail") == []
    assert [(sent.to_group, sent.name, sent.delay) for sent in routechan_sent.all()] == [
        (False, "thumbnail", 60), (True, "chat", 0)
    ]


def test_live_server(routechan_live_server, routechan_sent):
    with urllib.request.urlopen(routechan_live_server.url + "/static/routechan/websocketbridge.js") as response:
        assert response.status == 200
    with connect(routechan_live_server.ws_url + "/async/", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(20) == "hello"
    Channel("x").send({})
    assert routechan_sent.channel("x") == [{}]
"""

DATABASE = """
import pytest
from django.contrib.auth import get_user_model
from websockets.sync.client import connect

from routechan import route
from routechan_django.test import apply_routes


def names(message):
    message.reply_channel.send({"text": " ".join(get_user_model().objects.values_list("username", flat=True))})


@pytest.mark.parametrize("number", [1, 2])
def test_client(routechan_client, number):
    user = get_user_model().objects.create(username="ann")
    routechan_client.force_login(user)
    with apply_routes(route("websocket.receive", names)):
        routechan_client.send_and_consume("websocket.receive", path="/", text="x")
    assert routechan_client.receive(json=False) == "ann"


@pytest.mark.parametrize("number", [1, 2])
def test_live_server(routechan_live_server, number):
    get_user_model().objects.create(username="ben")
    with connect(routechan_live_server.ws_url + "/plain/", proxy=None) as socket:
        socket.send("of-the-consumer")
        assert socket.recv(20) == "ben of-the-consumer"


@pytest.mark.django_db(transaction=True)
def test_both(routechan_client, routechan_live_server):
    assert not get_user_model().objects.exists()


def test_sent_needs_no_database(routechan_sent):
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        get_user_model().objects.exists()
"""


def run(
    arguments: list[str], folder: Path, settings: str | None = "tests.unit.django.settings"
) -> subprocess.CompletedProcess[str]:
    of_this_run = ("DJANGO_SETTINGS_MODULE", "PYTEST_ADDOPTS", "CI")  # with CI pytest says everything twice
    environment = {name: value for name, value in os.environ.items() if name not in of_this_run}
    if settings is not None:
        environment["DJANGO_SETTINGS_MODULE"] = settings
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pytest_in(folder: Path, tests: str, *arguments: str, settings: str | None = "tests.unit.django.settings") -> str:
    """What pytest says of these tests, in a project that uses nothing else of pytest."""
    (folder / "test_project.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = run(["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments, "."], folder, settings)
    return done.stdout + done.stderr


def test_without_django(tmp_path: Path) -> None:
    """It imports nothing, breaks nothing, and says what is missing to who asks for a fixture."""
    said = pytest_in(tmp_path, NO_DJANGO, "-p", "no:django", "-p", "no:hypothesispytest", settings=None)
    assert "3 failed, 1 passed" in said, said
    assert said.count("Without Django use routechan.testing") == 3


def test_without_pytest_django(tmp_path: Path) -> None:
    """The fixtures set Django up themselves, and each test has layers of its own."""
    said = pytest_in(tmp_path, TESTS, "-p", "no:django", settings="tests.unit.django.testing.no_database")
    assert "5 passed" in said, said


@pytest.mark.skipif(importlib.util.find_spec("pytest_django") is None, reason="needs pytest-django")
def test_with_pytest_django(tmp_path: Path) -> None:
    """Who asks for a client or a server may use the database, and others may not."""
    (tmp_path / "site_settings.py").write_text(
        "from tests.unit.django.settings import *\n"
        "CHANNEL_LAYERS['default']['ROUTING'] = 'tests.unit.django.live.site.channel_routing'\n"
    )
    said = pytest_in(tmp_path, DATABASE, settings="site_settings")
    assert "6 passed" in said, said


@pytest.mark.skipif(importlib.util.find_spec("pytest_django") is None, reason="needs pytest-django")
@pytest.mark.parametrize("alone", ["test_client", "test_live_server"])
def test_no_test_reaches_the_real_database(tmp_path: Path, alone: str) -> None:
    """The test database is made for a fixture of ours also where no test asks pytest-django for it."""
    (tmp_path / "site_settings.py").write_text(
        "from tests.unit.django.settings import *\n"
        "CHANNEL_LAYERS['default']['ROUTING'] = 'tests.unit.django.live.site.channel_routing'\n"
        f"DATABASES['default'] |= {{'NAME': {str(tmp_path / 'real.sqlite3')!r}, 'TEST': {{'NAME': ':memory:'}}}}\n"
    )
    said = pytest_in(tmp_path, DATABASE, "-k", alone, settings="site_settings")
    assert "2 passed" in said, said
    assert not (tmp_path / "real.sqlite3").exists()


BY_NAME = """
def test_by_name(request):
    request.getfixturevalue("routechan_client")
"""


@pytest.mark.skipif(importlib.util.find_spec("pytest_django") is None, reason="needs pytest-django")
def test_a_fixture_that_is_asked_for_by_name(tmp_path: Path) -> None:
    """pytest-django makes no database for what a test asks for while it runs, so that is refused."""
    said = pytest_in(tmp_path, BY_NAME, settings="tests.unit.django.settings")
    assert "name routechan_client among the arguments of the test" in said, said


def test_what_is_no_project_of_ours(tmp_path: Path) -> None:
    """A fixture in a project without the app says so."""
    (tmp_path / "others.py").write_text("INSTALLED_APPS = []\nUSE_TZ = True\n")
    said = pytest_in(tmp_path, "def test_client(routechan_client): ...\n", "-p", "no:django", settings="others")
    assert "need 'routechan_django' in INSTALLED_APPS" in said


def test_pytest_is_not_imported(tmp_path: Path) -> None:
    """Section 0: the package for tests needs neither pytest nor a server, and is imported without settings."""
    code = (
        "import sys, routechan_django.test, routechan_django.test.base; from django.conf import settings; "
        "assert not settings.configured; print([name for name in ('pytest', 'uvicorn') if name in sys.modules])"
    )
    done = run(["-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
