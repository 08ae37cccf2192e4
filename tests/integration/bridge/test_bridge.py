"""The browser client: its own tests, run by node, and the files that are made from it or describe it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT

BRIDGE = runpy.run_path(str(ROOT / "scripts" / "bridge"))
TYPES = ROOT / "routechan_django" / "static" / "routechan" / "websocketbridge.d.ts"


def node() -> str:
    """Node is optional on a laptop, not in CI."""
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs node for the tests of the browser client: apt-get install nodejs")
        pytest.skip("the tests of the browser client need node: apt-get install nodejs")
    return found


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("*.test.mjs")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    """JS-01 to JS-15, Appendix A: each file of tests passes in node's own test runner."""
    # not on the connection of a runner above us
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}
    done = subprocess.run([node(), "--test", str(file)], env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= 10


@pytest.mark.parametrize("script", BRIDGE["SCRIPTS"], ids=lambda script: script.parent.name)
def test_plain_scripts_are_up_to_date(script: Path) -> None:
    """The plain scripts, ours and the one of 1.x, are what scripts/bridge makes of the module."""
    assert script.read_text(encoding="utf-8") == BRIDGE["plain_script"](), "run scripts/bridge"


def test_types_name_what_there_is() -> None:
    """The types have every public name and every option of the module, and no others."""
    module, types = BRIDGE["SOURCE"].read_text(encoding="utf-8"), TYPES.read_text(encoding="utf-8")
    options = re.search(r"const DEFAULTS = \{(.*?)\n\};", module, re.DOTALL)
    described = re.search(r"interface ReconnectOptions \{(.*?)\n\}", types, re.DOTALL)
    assert options is not None
    assert described is not None
    assert re.findall(r"^  (\w+):", options[1], re.MULTILINE) == re.findall(r"^  (\w+)\?:", described[1], re.MULTILINE)
    for name in ("ReconnectingSocket", "WebSocketBridge"):
        assert members(types, name) == members(module, name), name


def members(text: str, name: str) -> set[str]:
    """The public methods and properties of a class in JavaScript or TypeScript."""
    body = re.search(rf"(?:class|interface) {name}\b.*?\{{\n(.*?)\n\}}\n", text, re.DOTALL)
    assert body is not None
    found = set(re.findall(r"^  (?:readonly |get |set )?([a-z]\w*)[:(<]", body[1], re.MULTILINE))
    found |= set(re.findall(r"^    this\.([a-z]\w*) = ", body[1], re.MULTILINE))
    found |= {f"on{event}" for event in ("open", "message", "close", "error") if f"this.on{event} = " in body[1]}
    return found - {"if", "for", "constructor"}
