"""The browser client: its own tests, run by node, and the files that are made from it or describe it."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

import routechan
from tests.processes import ROOT

BRIDGE = runpy.run_path(str(ROOT / "scripts" / "bridge"))
PACKAGE = ROOT / "js"
BUILT: dict[Path, str] = BRIDGE["built"]()


def node() -> str:
    """Node is optional on a laptop, not in CI."""
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs node for the tests of the browser client: apt-get install nodejs")
        pytest.skip("the tests of the browser client need node: apt-get install nodejs")
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("test/*.test.js")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    """JS-01 to JS-15, Appendix A: each file of tests passes in node's own test runner."""
    # not on the connection of a runner above us
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}
    done = subprocess.run([node(), "--test", str(file)], env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 10


@pytest.mark.parametrize("file", BUILT, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_static_files_are_up_to_date(file: Path) -> None:
    """What Django serves is what scripts/bridge makes of the package."""
    assert file.read_text(encoding="utf-8") == BUILT[file], "run scripts/bridge"


def test_the_build_has_every_module() -> None:
    """Each module of the package is in the files that Django serves."""
    assert {path.stem for path in PACKAGE.glob("src/*.js")} == set(BRIDGE["MODULES"])


def test_the_package_has_our_version() -> None:
    """Both are released together."""
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == routechan.__version__
    assert (PACKAGE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_types_name_what_there_is() -> None:
    """The types have every public name and every option of the package, and no others."""
    source, types = BRIDGE["joined"](), (PACKAGE / "index.d.ts").read_text(encoding="utf-8")
    options = re.search(r"const DEFAULTS = \{(.*?)\n\};", source, re.DOTALL)
    described = re.search(r"interface ReconnectOptions \{(.*?)\n\}", types, re.DOTALL)
    assert options is not None
    assert described is not None
    assert re.findall(r"^  (\w+):", options[1], re.MULTILINE) == re.findall(r"^  (\w+)\?:", described[1], re.MULTILINE)
    for name in ("ReconnectingSocket", "WebSocketBridge"):
        assert members(types, name) == members(source, name), name


def members(text: str, name: str) -> set[str]:
    """The public methods and properties of a class in JavaScript or TypeScript."""
    body = re.search(rf"(?:class|interface) {name}\b.*?\{{\n(.*?)\n\}}\n", text, re.DOTALL)
    assert body is not None
    found = set(re.findall(r"^  (?:async |readonly |get |set )?([a-z]\w*)[:(<]", body[1], re.MULTILINE))
    found |= set(re.findall(r"^    this\.([a-z]\w*) = ", body[1], re.MULTILINE))
    found |= set(re.findall(r"this\.(on[a-z]+) = ", body[1]))
    return found - {"if", "for", "constructor"}
