"""``include``: a routing inside another, under a prefix or not."""

from __future__ import annotations

from typing import Any

import pytest

from routechan import include, route
from routechan.exceptions import RoutingError
from routechan.routing import Router

from .helpers import CustomRoute, a_consumer, a_dict_routing, a_routing, match, message
from .helpers import a_consumer as one
from .helpers import another_consumer as two

HERE = "tests.unit.helpers"


@pytest.mark.parametrize(
    "routing", [a_routing, tuple(a_routing), a_dict_routing, f"{HERE}.a_routing", f"{HERE}.a_dict_routing"]
)
def test_what_can_be_included(routing: Any) -> None:
    """RT-17: a list, a tuple, a dict, or the dotted path of one."""
    assert match([include(routing)], {}, "websocket.connect") == (a_consumer, {})


def test_include_groups_and_filters() -> None:
    """RT-18: without prefixes it only groups; with them each key must be there and match."""
    inner = [route("a", one)]
    assert match([include(inner)], {}, "a") == (one, {})
    routing = [include(inner, path="^/x", method="^POST$"), route("a", two)]
    assert match(routing, {"path": "/x", "method": "POST"}, "a") == (one, {})
    assert match(routing, {"path": "/x", "method": "GET"}, "a") == (two, {})
    assert match(routing, {"path": "/x"}, "a") == (two, {})


@pytest.mark.parametrize("caret", ["^", ""])
def test_include_cuts_off_what_it_matched(caret: str) -> None:
    """RT-19: the rest is a fresh string for what is inside, level by level."""
    rooms = [route("a", one, path=rf"{caret}/chat/(?P<room>[^/]+)/$")]
    routing = [include(rooms, path=r"^/ws/v(?P<version>[0-9]+)")]
    assert match(routing, {"path": "/ws/v2/chat/django/"}, "a") == (one, {"version": "2", "room": "django"})
    assert match(routing, {"path": "/chat/django/"}, "a") is None
    deeper = [include([include(rooms, path="^/v2")], path="^/ws")]
    assert match(deeper, {"path": "/ws/v2/chat/django/"}, "a") == (one, {"room": "django"})


def test_include_does_not_touch_the_message() -> None:
    """RT-19: entries after an include that did not match see the whole value."""
    routing = [
        include([route("a", one, path="^/never$")], path="^/ws"),
        route("a", two, path="^/ws/x$"),
    ]
    received = message({"path": "/ws/x"}, "a")
    assert Router(routing).match(received) == (two, {})
    assert received.content == {"path": "/ws/x"}


def test_the_inner_keyword_wins() -> None:
    """RT-20: on a clash of names, at every level."""
    inner = [route("a", one, path="^/(?P<name>[a-z]+)")]
    middle = [include(inner, path="^/(?P<name>[a-z]+)")]
    routing = [include(middle, path="^/(?P<name>[a-z]+)(?P<only>[0-9])")]
    assert match(routing, {"path": "/x1/y/z"}, "a") == (one, {"name": "z", "only": "1"})
    assert match([include([route("a", two)], path="^/(?P<name>[a-z]+)")], {"path": "/x"}, "a") == (two, {"name": "x"})


def test_bytes_and_text_mix() -> None:
    """RT-21: patterns of bytes match text, patterns of text match bytes; the rest inside is text."""
    custom = CustomRoute((one, {}))
    assert match([include([custom], path=b"^/ws")], {"path": "/ws/x"}, "custom") == (one, {})
    assert match([include([custom], path="^/ws")], {"path": b"/ws/x"}, "custom") == (one, {})
    assert [asked["path"] for asked in custom.asked] == ["/x", "/x"]


def test_prefixes_may_have_positional_groups() -> None:
    """RT-22: they are ignored."""
    assert match([include([route("a", one)], path="^/(x|y)")], {"path": "/y"}, "a") == (one, {})


def test_nothing_is_deep_copied() -> None:
    """RT-23, OB-33: matching copies no content; a custom route sees the received message, its attributes too."""

    class Uncopyable:
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("copied")

    custom = CustomRoute((one, {}))
    value = Uncopyable()
    received = message({"path": "/ws/x", "value": value}, "custom")
    received.user = "ann"
    assert Router([custom]).match(received) == (one, {})
    assert custom.asked[0] is received
    assert Router([include([custom], path="^/ws")]).match(received) == (one, {})
    assert custom.asked[1]["value"] is value


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("no.such.module.routing", "the routing 'no.such.module.routing' cannot be imported: No module named 'no'"),
        (f"{HERE}.nothing", f"the routing '{HERE}.nothing' cannot be imported: module '{HERE}' has no 'nothing'"),
        ("routing", "the routing 'routing' has no dot"),
    ],
)
def test_routing_that_cannot_be_imported(path: str, text: str) -> None:
    """RT-25: a ``ValueError`` that names the string and the cause."""
    with pytest.raises(ValueError, match=text):
        include(path)
    with pytest.raises(RoutingError, match=text):
        Router(path)


def test_channel_names_of_an_include() -> None:
    """RT-26: the union over its entries."""
    assert include([route("a", one), include([route(["b", "c"], two)], path="^/x")]).channel_names() == {"a", "b", "c"}
    assert include([]).channel_names() == set()


def test_text_of_an_include() -> None:
    """RT-13: an include is shown too, in texts about its mistakes."""
    assert str(include([route("a", one)], path="^/x")) == "include(1 routes, path='^/x')"
