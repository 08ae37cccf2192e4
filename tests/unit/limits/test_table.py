"""The table of docs/limits.rst against the code: names, defaults, close codes, statuses and counters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.nodes import row

from routechan.asgi import ServerOptions
from routechan.asgi.options import LIMITS
from routechan.consumers.threads import SOCKET_STREAMS
from routechan.layers import InMemoryChannelLayer, RedisChannelLayer
from routechan.layers.options import CHANNEL_BYTES, MAX_GROUPS
from routechan.telemetry import counters as counters_module
from routechan_django import conf

DOCS = Path(__file__).resolve().parents[3] / "docs"

UNITS = {"": 1, "KiB": 1024, "MiB": 1024 * 1024}

#: Limits whose setting no server reads, with their defaults.
ELSEWHERE: dict[str, object] = {"socket_streams": SOCKET_STREAMS, "user_sockets": None, "consumer_timeout": None}

#: Options of the layers that are limits, with their defaults.
LAYERS: dict[str, object] = {"channel_bytes": CHANNEL_BYTES, "max_groups": MAX_GROUPS}

#: What a client is told, by the tests of each limit in this folder.
TOLD = {
    "socket_capacity": "1013",
    "socket_bytes": "1013",
    "server_bytes": "1013",
    "frame_bytes": "1009",
    "body_limit": "413",
    "channel_bytes": "1013",
    "server_sockets": "503",
    "address_sockets": "429",
    "handshake_rate": "429",
    "user_sockets": "403",
    "consumer_timeout": "1011",
    "socket_failures": "1011",
}


def table() -> dict[str, list[str]]:
    """The option of each row -> its cells."""
    rows = publish_doctree((DOCS / "limits.rst").read_text()).findall(row)
    cells = [[entry.astext().replace("\n", " ") for entry in each] for each in rows]
    return {cell[0].lower(): cell[1:] for cell in cells if cell[0] != "limit"}


def value(text: str) -> object:
    if text == "None":
        return None
    number, _, unit = text.partition(" ")
    return int(float(number) * UNITS[unit])


def test_the_table_has_every_limit() -> None:
    """Each option that is a limit, each setting, and no other; all but one are counted under their names."""
    assert set(table()) == {*LIMITS, *ELSEWHERE, *LAYERS}
    for name in LIMITS:
        assert conf.SERVER_KEYS[name.upper()][0] == name
    assert {*counters_module.LIMITS} == {*table(), "limit"}


@pytest.mark.parametrize("name", table())
def test_a_row(name: str) -> None:
    """Its default is that of the code; it says the code or the status a client sees; the page of options has it."""
    default, _, consequence = table()[name]
    others = {**ELSEWHERE, **LAYERS}
    assert value(default) == (others[name] if name in others else getattr(ServerOptions(), name))
    assert re.findall(r"\b\d{3,4}\b", consequence)[:1] == ([TOLD[name]] if name in TOLD else [])
    if name in LAYERS:
        assert f"``{name}``" in (DOCS / "layers.rst").read_text()
        for layer in (InMemoryChannelLayer, RedisChannelLayer):
            assert inspect.signature(layer).parameters[name].default == LAYERS[name]
    else:
        assert f"``{name.upper()}``" in (DOCS / "settings.rst").read_text()
