"""An ``asgi.py`` that serves Django alone: the one line to change is said by a check, and in the server's log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from routechan_django import asgi_file

DJANGO = '''"""ASGI config, as startproject writes it."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site.settings")

application = get_asgi_application()
'''

OURS = DJANGO.replace("django.core.asgi", "routechan_django.asgi")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (DJANGO, 5),
        ("import django.core.asgi\napplication = django.core.asgi.get_asgi_application()\n", 1),
        (DJANGO + "\nfrom sentry import Middleware\napplication = Middleware(application)\n", 5),
        (OURS, None),
        (DJANGO + "\nfrom channels.routing import ProtocolTypeRouter\n", None),
        (DJANGO + "\nfrom .sockets import application\n", None),
        (DJANGO + "\nfrom tests.sockets import application\n", None),
        ("application = None\n", None),
        ("not Python\n", None),
    ],
    ids=[
        "startproject",
        "by its dotted name",
        "in a middleware",
        "ours",
        "Channels 4",
        "beside it",
        "of the project",
        "other",
        "broken",
    ],
)
def test_what_serves_django_alone(tmp_path: Path, text: str, line: int | None) -> None:
    """The line of the import; None where sockets may be served too."""
    file = tmp_path / "asgi.py"
    file.write_text(text)
    assert asgi_file.django_alone(file) == line
    assert asgi_file.django_alone(tmp_path / "nowhere.py") is None


def project(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str = DJANGO) -> Path:
    """A package ``name`` with an ``asgi.py``, which can be imported."""
    file = folder / name / "asgi.py"
    file.parent.mkdir()
    (file.parent / "__init__.py").touch()
    file.write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return file


@pytest.mark.parametrize(
    "settings",
    [
        {"ASGI_APPLICATION": "alone_a.asgi.application"},
        {"SETTINGS_MODULE": "alone_a.settings"},
        {"SETTINGS_MODULE": "alone_a.settings.production"},
        {"ROOT_URLCONF": "alone_a.urls"},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    """W007 names file, line, and what to write; that of ``ASGI_APPLICATION``, else the one beside the settings."""
    file = project(tmp_path, monkeypatch, "alone_a")
    with override_settings(**{"SETTINGS_MODULE": None, **settings}):
        [found] = run_checks(tags=["routechan"])
    assert found.id == "routechan.W007"
    assert found.msg.startswith(f"{file}, line 5: django.core.asgi serves Django alone")
    assert found.hint == "Write in its place: from routechan_django.asgi import get_asgi_application."


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (OURS, {}),
        (DJANGO, {"ASGI_APPLICATION": "tests.unit.django.processes.asgi.application"}),
        (DJANGO, {"CHANNEL_LAYERS": {"default": {"BACKEND": "x", "ROUTING": "x", "CONSUMERS": "workers"}}}),
    ],
    ids=["ours", "another one is served", "workers, behind a server of their own"],
)
def test_a_project_that_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, settings: dict[str, Any]
) -> None:
    """No warning."""
    project(tmp_path, monkeypatch, "alone_b", text)
    with override_settings(**{"SETTINGS_MODULE": "alone_b.settings", **settings}):
        assert asgi_file.check_asgi_file(None) == []


def test_the_log_of_a_server(tmp_path: Path) -> None:
    """Nobody runs checks there: it is said when the server imports the file."""
    folder = tmp_path / "alone_c"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(
        'SECRET_KEY = "x"\nINSTALLED_APPS = ["routechan_django"]\n'
        'CHANNEL_LAYERS = {"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []}}\n'
    )
    for name, text in {"asgi": DJANGO, "ours": OURS}.items():
        (folder / f"{name}.py").write_text(text.replace("site.settings", "alone_c.settings"))
    for name, said in {"asgi": True, "ours": False}.items():
        found = subprocess.run(
            [sys.executable, "-c", f"import alone_c.{name}"],
            cwd=tmp_path,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "alone_c.settings"},
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert found.returncode == 0, found.stderr
        expected = f"{folder / 'asgi.py'}, line 5: django.core.asgi serves Django alone"
        assert (expected in found.stderr) is said, found.stderr
