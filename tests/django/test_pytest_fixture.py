"""The fixtures for pytest, in a project that uses nothing else of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

CONFTEST = """
import django

django.setup()
pytest_plugins = ["routechan_django.test.fixtures"]
"""

TESTS = """
from django.test import SimpleTestCase, modify_settings

from routechan import Channel
from routechan.layers import channel_layers
from routechan_django.test import Client, WSClient, apply_routes


def test_layers(channel_layers_in_memory):
    assert set(channel_layers_in_memory) == {"default"}
    assert channel_layers["default"] is channel_layers_in_memory["default"]
    Channel("x").send({"a": 1})


def test_layers_are_new(channel_layers_in_memory):
    assert channel_layers["default"].receive(["x"]) == (None, None)


def test_client(channel_client):
    assert type(channel_client) is Client
    channel_client.send_and_consume("websocket.receive", {"path": "/chat/django/", "text": "hi"})
    assert channel_client.receive() == {"text": "django: hi"}


@modify_settings(INSTALLED_APPS={"remove": ["django.contrib.sessions"]})
def test_socket(ws_client):
    assert type(ws_client) is WSClient
    ws_client.send_and_consume("websocket.receive", path="/async/", text={"n": 1})
    assert ws_client.receive() == {"n": 1}


def test_left_as_it_was():
    assert channel_layers["default"].capacity == 50
"""


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.django.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_fixtures(tmp_path: Path) -> None:
    """``channel_layers_in_memory``, ``channel_client`` and ``ws_client`` work without pytest-django, and clean up."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_fixtures.py").write_text(TESTS)
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "."], tmp_path)
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_is_not_imported(tmp_path: Path) -> None:
    """Section 0: the package for tests needs neither pytest nor a server, and is imported without settings."""
    code = (
        "import sys, routechan_django.test, routechan_django.test.base; from django.conf import settings; "
        "assert not settings.configured; print([name for name in ('pytest', 'uvicorn') if name in sys.modules])"
    )
    done = run(["-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
