"""``scripts/release``: what keeps a commit from being released, and what a package index shows."""

from __future__ import annotations

import configparser
import io
import re
import runpy
import subprocess
import sys
from typing import Any

import pytest
from docutils.core import publish_doctree

import routechan
from tests.documents import ROOT

RELEASE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "release"))
README = (ROOT / "README.rst").read_text()
URL = "https://host.example/owner/routechan"

CHANGES = """\
Changes
=======

Unreleased
----------

{unreleased}{version}
{line}

Added
~~~~~

- Something.
"""


def changes(version: str = "0.2.0 - 2026-12-01", unreleased: str = "") -> str:
    return CHANGES.format(version=version, line="-" * len(version), unreleased=unreleased)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ({}, []),
        ({"version": "0.2.0rc1", "changes": changes("0.2.0rc1 - 2026-12-01"), "package": ""}, []),
        ({"changed": " M README.rst\n"}, ["not committed"]),
        ({"version": "0.2"}, ["expected a version such as", 'below "Unreleased"', "js/package.json"]),
        ({"changes": changes("0.1.0 - 2026-01-01")}, ["has '0.1.0 - 2026-01-01' below"]),
        ({"changes": changes("0.2.0")}, ["has '0.2.0' below"]),
        ({"changes": changes(unreleased="- Another thing.\n\n")}, ['has changes under "Unreleased"']),
        (
            {"changes": changes().replace("Unreleased\n----------\n", "")},
            ["does not begin", "has 'nothing' below"],
        ),
        ({"package": '{"version": "0.1.0"}'}, ["js/package.json has the version '0.1.0'; expected '0.2.0'"]),
    ],
)
def test_mistakes(what: dict[str, str], expected: list[str]) -> None:
    """Each is named; without any there are none."""
    given = {"version": "0.2.0", "changes": changes(), "package": '{"version": "0.2.0"}', "changed": "", **what}
    found = RELEASE["mistakes"](**given)
    assert len(found) == len(expected), found
    for text, part in zip(found, expected, strict=True):
        assert part in text


def test_this_version() -> None:
    """The version is the newest one of the changes, and that of the package of the browser client."""
    text = (ROOT / "CHANGELOG.rst").read_text()
    package = (ROOT / "js" / "package.json").read_text()
    found = RELEASE["mistakes"](routechan.__version__, text, package, "")
    assert [text for text in found if "has changes under" not in text] == []


@pytest.mark.parametrize("url", [URL, ""])
def test_the_page_of_an_index(url: str) -> None:
    """No link leads to a file beside the page; the markup is what an index can show."""
    page = RELEASE["index_page"](README, url, "v0.2.0")
    said = io.StringIO()
    settings = {"report_level": 2, "warning_stream": said, "syntax_highlight": "none", "file_insertion_enabled": False}
    publish_doctree(page, settings_overrides=settings)
    assert said.getvalue() == ""
    targets = re.findall(r"<([^<>`\s]+)>`_|^\.\. image:: (\S+)", page, re.MULTILINE)
    assert all("://" in one + other for one, other in targets)
    if url:
        assert f"<{URL}/blob/v0.2.0/docs/consumers.rst>`_" in page
        assert f".. image:: {URL}/raw/v0.2.0/docs/images/chat.png" in page
    else:
        assert "yes: consumers" in page
        assert ".. image::" not in page


def test_addresses() -> None:
    """They are those of the repository, and there are none where nobody has said which that is."""
    setup = (ROOT / "setup.cfg").read_text()
    assert RELEASE["with_addresses"](setup, "", "v0.2.0") == setup
    parsed = configparser.ConfigParser()
    parsed.read_string(RELEASE["with_addresses"](setup, URL, "v0.2.0"))
    assert parsed["metadata"]["url"] == URL
    lines = parsed["metadata"]["project_urls"].strip().splitlines()
    addresses = dict(line.split(" = ") for line in lines)
    assert addresses["Changes"] == f"{URL}/blob/v0.2.0/CHANGELOG.rst"
    for address in addresses.values():
        path = address.removeprefix(f"{URL}/blob/v0.2.0/")
        assert address == URL or (ROOT / path).exists()


def test_classifiers_say_what_is_tested() -> None:
    """Each Python and Django that a classifier names is one that scripts/test tries; some may not be found yet."""
    setup = configparser.ConfigParser()
    setup.read_string((ROOT / "setup.cfg").read_text())
    classifiers = setup["metadata"]["classifiers"]
    pythons = set(re.findall(r"Python :: (3\.\d+)", classifiers))
    djangos = set(re.findall(r"Django :: (\d+\.\d+)", classifiers))
    script = (ROOT / "scripts" / "test").read_text() + (ROOT / "scripts" / "lib.sh").read_text()
    [tried] = re.findall(r'^PYTHONS="(.+)"$', script, re.MULTILINE)
    assert pythons <= set(tried.split())
    named = {word for words in re.findall(r"\) echo (.+) ;;", script) for word in words.split()}
    assert djangos - named == {max(djangos, key=lambda version: tuple(map(int, version.split("."))))}, "the newest"


def test_it_says_what_is_wrong_here() -> None:
    """The script runs: with mistakes it ends with 1 and names them, and it builds nothing."""
    code = (
        "import runpy, subprocess; script = runpy.run_path('scripts/release');"
        "script['main'].__globals__['run'] = lambda *command, **options: ' M file' if 'status' in command else '';"
        "script['main']()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "!! there are changes that are not committed:\n M file" in done.stderr
