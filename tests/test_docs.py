"""The documents say what is: their code runs, their settings, names and links exist."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.settings")
django.setup()

from routechan.asgi import ServerOptions  # noqa: E402
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers  # noqa: E402
from routechan_django import conf  # noqa: E402
from routechan_django.asgi import make_layer  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *sorted((ROOT / "docs").glob("*.rst"))]
READMES = [*DOCUMENTS, *sorted((ROOT / "examples").rglob("*.rst")), *sorted((ROOT / "benchmarks").glob("*.rst"))]


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    """The default layer as the settings have it, whatever a document does to it."""
    previous = channel_layers.set(DEFAULT_CHANNEL_LAYER, None)
    channel_layers.configure(make_layer)
    yield
    channel_layers.set(DEFAULT_CHANNEL_LAYER, previous)


def blocks(document: Path, language: str) -> list[str]:
    pattern = rf"^\.\. code-block:: {language}\n\n((?:(?: {{4}}.*)?\n)+)"
    return [textwrap.dedent(match[1]) for match in re.finditer(pattern, document.read_text() + "\n", re.MULTILINE)]


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path, "python")], ids=lambda path: path.name)
def test_code(document: Path) -> None:
    """Each block of Python runs, with the names of those before it in the same document."""
    names: dict[str, object] = {"__name__": "document"}
    for block in blocks(document, "python"):
        exec(compile(block, str(document), "exec"), names)


@pytest.mark.parametrize("document", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    """What a document links to in this repository exists."""
    targets = re.findall(r"<([^<>`\s]+)>`_|^\.\. (?:image|figure|include):: (\S+)", document.read_text(), re.MULTILINE)
    for target in ("".join(groups) for groups in targets):
        if "://" not in target:
            assert (document.parent / target.partition("#")[0]).exists(), target


def test_every_setting_is_documented() -> None:
    """docs/settings.rst has each key of ROUTECHAN and of an entry of CHANNEL_LAYERS, and no other."""
    text = (ROOT / "docs" / "settings.rst").read_text()
    for key in (*conf.SERVER_KEYS, conf.THREADS, *conf.LAYER_KEYS):
        assert f"``{key}``" in text, key


def test_every_option_is_documented() -> None:
    """docs/server.rst names each option of the server face."""
    text = (ROOT / "docs" / "server.rst").read_text()
    for option in ServerOptions.__dataclass_fields__:
        assert f"``{option}``" in text, option


def test_scripts_are_documented() -> None:
    """The README's two commands exist and can be run."""
    text = (ROOT / "README.rst").read_text()
    for script in ("scripts/demo", "scripts/test"):
        assert script in text
        assert os.access(ROOT / script, os.X_OK)
