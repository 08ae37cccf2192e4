"""``manage.py channelroutes``: the routing as a table, and what happens on one path."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from routechan import include, route
from routechan.routing import Router
from routechan_django.layer import ChannelLayerWrapper


def output(*args: str) -> list[list[str]]:
    stream = io.StringIO()
    call_command("channelroutes", *args, stdout=stream)
    return [[cell for cell in line.split("  ") if cell] for line in stream.getvalue().splitlines()]


def test_the_table(layer: ChannelLayerWrapper) -> None:
    """Each route is a row: its channel, its filters behind those of its includes, its consumer."""
    lines = [[cell.strip() for cell in line] for line in output()]
    assert lines[0] == ["channel", "filters", "consumer"]
    assert lines[2:] == [
        ["websocket.receive", r"path=^/chat > path=^/(?P<room>\w+)/$", "tests.unit.django.routing.echo"],
        ["websocket.receive", "path=^/async/$", "tests.unit.django.routing.aecho"],
        ["thumbnail", "-", "tests.unit.django.routing.aecho"],
    ]


def test_a_path(layer: ChannelLayerWrapper) -> None:
    """With a path, each event's consumer and the arguments it is called with."""
    lines = [[cell.strip() for cell in line] for line in output("/chat/django/")]
    assert lines[0] == ["event", "consumer", "arguments"]
    assert lines[2:] == [
        ["websocket.connect", "(no route: accepted)", "-"],
        ["websocket.receive", "tests.unit.django.routing.echo", "room='django'"],
        ["websocket.disconnect", "(no route: ignored)", "-"],
        ["http.request", "(no route: Django's views)", "-"],
    ]


def test_a_group(layer: ChannelLayerWrapper) -> None:
    """With a group, the consumers of its joins and leaves."""
    layer.router = Router([route("group.join", "tests.unit.django.routing.echo", group=r"^room-(?P<room>\d+)$")])
    lines = [[cell.strip() for cell in line] for line in output("--group", "room-7")]
    assert lines[2:] == [
        ["group.join", "tests.unit.django.routing.echo", "room='7'"],
        ["group.leave", "(no route: not told)", "-"],
    ]


def test_a_path_no_route_serves(layer: ChannelLayerWrapper) -> None:
    """A socket that nothing could ever serve is refused, and the command says so."""
    assert "the socket is refused" in output("/nowhere/")[-1][0]


@pytest.mark.parametrize(
    ("args", "text"),
    [(("chat/",), "write /chat/"), (("--layer", "other"), "no channel layer 'other'")],
)
def test_mistakes(layer: ChannelLayerWrapper, args: tuple[str, ...], text: str) -> None:
    """A path without its slash and an unknown alias are explained."""
    with pytest.raises(CommandError, match=text):
        output(*args)


class Decides:
    """An entry of the project's own making."""

    def match(self, message: Any) -> None: ...

    def channel_names(self) -> set[str]:
        return {"b", "a"}


def test_an_entry_of_ones_own(layer: ChannelLayerWrapper) -> None:
    """Its channels are all that is known of it."""
    layer.router = Router([include([Decides()], path="^/x")])
    rows = [[cell.strip() for cell in line] for line in output()][2:]
    assert [(row[0], row[-1]) for row in rows] == [("a", "decided by the entry"), ("b", "decided by the entry")]
    assert all(row[1].startswith("path=^/x > (") for row in rows)


def test_no_routes(layer: ChannelLayerWrapper) -> None:
    """That is said, in place of a table without rows."""
    layer.router = Router([])
    assert output() == [["The routing is empty."]]
