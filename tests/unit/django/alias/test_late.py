"""Mistakes in a routing under the old import names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from routechan import include, route, routing
from routechan.exceptions import RoutingError
from routechan.routing import Router
from routechan_django.alias.late import Refused
from tests.unit.django.alias.running import run_code, write_files
from tests.unit.helpers import a_consumer as one
from tests.unit.helpers import another_consumer as two
from tests.unit.helpers import match, message

HERE = "tests.unit.helpers"


class TestRefusedLate:
    """As in 1.x, which the old import names ask for: a mistake in what nobody uses stops no import."""

    @pytest.fixture(autouse=True)
    def late(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(routing, "refuse", Refused)

    @pytest.mark.parametrize(
        ("wrong", "text"),
        [
            ([one], f"entry 0 of the routing is {HERE}.a_consumer itself; write route(channel, a_consumer)"),
            ([route("a", one), [route("b", two)]], "entry 1 of the routing is a list"),
            (f"{HERE}.no_routing", f"not 42 in {HERE}.no_routing"),
            ("no.such.module.routing", "the routing 'no.such.module.routing' cannot be imported"),
            (f"{HERE}.nothing", "has no 'nothing'"),
            ("routing", "the routing 'routing' has no dot"),
            (None, "not None"),
            (42, "not 42"),
        ],
    )
    def test_an_include_refuses_when_it_is_used(self, wrong: Any, text: str) -> None:
        """RT-17, RT-25: it can be made; a router over it, or a match, refuses with the file that made it."""
        refused = include(wrong, path="^/ws")
        for use in (
            lambda: refused.match(message({"path": "/ws/x"}, "b")),
            lambda: Router([refused]),
            lambda: Router([route("a", two), include([refused])]),
        ):
            with pytest.raises(RoutingError, match=re.escape(text)) as caught:
                use()
            assert f"(made at {__file__}:" in str(caught.value)
        assert refused.match(message({"path": "/elsewhere"}, "b")) is None

    def test_an_entry_refuses_when_a_message_reaches_it(self) -> None:
        """RT-01, RT-02: entries before it match, other channels are not concerned, and it names its channels."""

        class Forgotten:
            """A class-based consumer without ``route_class``."""

            @classmethod
            def channel_names(cls) -> set[str]:
                return {"a", "b"}

        router = Router([route("a", one), route("c", two), include([Forgotten], path="^/old")])
        assert router.channels == {"a", "b", "c"}
        assert router.match(message({"path": "/old"}, "a")) == (one, {})
        assert router.match(message({"path": "/old"}, "c")) == (two, {})
        assert router.match(message({"path": "/new"}, "b")) is None
        for find in (router.match, router.find):
            with pytest.raises(RoutingError, match="Forgotten itself; write route"):
                find(message({"path": "/old"}, "b"))

    def test_a_consumer_that_cannot_be_called(self) -> None:
        """RT-04: the route can be made, and matches; its consumer raises."""
        consumer, kwargs = match([route("a", 42), route("b", one)], {}, "a") or (None, {})
        assert kwargs == {}
        with pytest.raises(RoutingError, match=r"the consumer of a is 42, which cannot be called.*\(made at "):
            consumer(message({}, "a"))


def test_refused_at_once_otherwise() -> None:
    """RT-17: without the old names a mistake is an error where it is made."""
    for make in (lambda: include([one]), lambda: include("no.such.routing"), lambda: route("a", 42)):
        with pytest.raises(RoutingError):
            make()


def test_the_old_names_put_it_off(tmp_path: Path) -> None:
    """RT-17: after ``install()`` a bad include that nothing uses stops nothing; ``check`` finds one in the routing."""
    files = {
        "routes.py": """
        from channels import include, route
        from channels.routing import route_class

        def receive(message):
            pass

        unused = include([receive])
        old = include("gone.routing.channel_routing", path="^/old")
        routing = [route("websocket.receive", receive)]
        wrong = [route("websocket.receive", receive), include([receive], path="^/wrong"), route("x", 42)]
        """
    }
    write_files(tmp_path, files)
    code = """
    from django.conf import settings
    memory = "asgiref.inmemory.ChannelLayer"
    settings.configure(INSTALLED_APPS=["channels"], CHANNEL_LAYERS={
        "default": {"BACKEND": memory, "ROUTING": "routes.routing"},
        "wrong": {"BACKEND": memory, "ROUTING": "routes.wrong"},
    })
    import django
    django.setup()
    from channels.asgi import channel_layers
    print(*channel_layers["default"].router.channels)
    from django.core import checks
    for found in checks.run_checks():
        print(found.id, found.msg)
    """
    first, *found = run_code(tmp_path, code).splitlines()
    assert first == "websocket.receive"
    assert [line.split()[0] for line in found] == ["routechan.E002", "routechan.E002"]
    assert "['wrong']['ROUTING']: entry 0 of the routing is routes.receive itself" in found[0]
    assert "the consumer of x is 42" in found[1]
    for line, number in zip(found, (11, 11), strict=True):
        assert line.endswith(f"(made at {tmp_path}/routes.py:{number})")
