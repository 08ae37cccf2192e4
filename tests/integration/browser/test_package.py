"""The package of the browser client as its users have it: packed, installed into a project of vite, built, opened."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, free_port

from .conftest import Example, Windows
from .test_bridge import hears

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = Path(__file__).parent / "package"


def npm(directory: Path, *arguments: str) -> str:
    """What ``npm`` prints. It is optional on a laptop, not in CI."""
    program = shutil.which("npm")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs npm for the tests of the package: apt-get install npm")
        pytest.skip("the tests of the package need npm: apt-get install npm")
    done = subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the packed package, vite and TypeScript."""
    directory = tmp_path_factory.mktemp("package")
    packed = npm(ROOT / "js", "pack", "--silent", "--pack-destination", str(directory)).strip().splitlines()[-1]
    project = directory / "page"
    shutil.copytree(HERE, project)
    npm(project, "install", "--no-audit", "--no-fund", "--no-package-lock", f"../{packed}")
    return project


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Example]:
    """``runserver`` with the project beside this file, which serves what vite has built."""
    npm(project, "exec", "--", "vite", "build", "--base", "/package/", "--logLevel", "warn")
    port = free_port()
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.integration.browser.bridge.settings",
        "PACKAGE": str(project / "dist"),
    }
    arguments = ["-m", "django", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}"]
    with Example(arguments, port, environment=environment) as server:
        yield server
    assert "Traceback" not in server.output


def test_what_is_packed(project: Path) -> None:
    """The package holds its modules and types, and nothing of the tests."""
    installed = project / "node_modules" / "routechan"
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    sources = {f"src/{path.name}" for path in (ROOT / "js" / "src").glob("*.js")}
    assert files == {"package.json", "README.md", "LICENSE", "index.js", "index.d.ts"} | sources


def test_types(project: Path) -> None:
    """A page that uses everything passes TypeScript's strict check; a mistake in it does not."""
    npm(project, "exec", "--", "tsc")


def test_in_a_page(site: Example, windows: Windows) -> None:
    """The built page talks to a server, stream by stream."""
    window = windows.open(f"{site.url}/package/index.html")
    hears(window, [[{"hello": "/ws/chat/"}, None]])
    window.evaluate("bridge.send({text: 'é😀'})")
    window.evaluate("bridge.stream('news').send({id: 5})")
    hears(window, [[{"text": "é😀"}, None], [5, "news"]])
    window.evaluate("bridge.send({bye: 4000})")
    hears(window, [4000, [{"hello": "/ws/chat/"}, None]])
