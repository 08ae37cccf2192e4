"""System checks find what is wrong before a socket is opened, and say what to write."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from routechan import include, route
from routechan_django import checks

MEMORY = "routechan.layers.InMemoryChannelLayer"


def consumer(message: Any, **kwargs: Any) -> None:
    """A consumer to route to."""


def found(routing: Any, **config: Any) -> list[tuple[str | None, str, str]]:
    entry = {"BACKEND": MEMORY, "ROUTING": routing, **config}
    with override_settings(CHANNEL_LAYERS={"default": entry}):
        return [(message.id, message.msg, message.hint or "") for message in checks.check_layers(None)]


def test_a_good_project_has_nothing_to_say() -> None:
    """The checks are registered, and pass on a project as the documentation has it."""
    assert run_checks(tags=["routechan"]) == []


@override_settings(CHANNEL_LAYERS={})
def test_no_layers() -> None:
    """Without layers no socket is served; the hint shows the whole setting."""
    (message,) = run_checks(tags=["routechan"])
    assert message.id == "routechan.W001"
    assert "CHANNEL_LAYERS = {" in (message.hint or "")


def test_routing_that_cannot_be_imported() -> None:
    """A routing path that leads nowhere is named, with the nearest name there is."""
    ((code, text, _),) = found("tests.django.routing.chanel_routing")
    assert code == "routechan.E002"
    assert "['ROUTING']" in text
    assert "did you mean 'channel_routing'?" in text


def test_a_module_as_routing() -> None:
    """Row 5 of the applications: a module is given instead of what is in it."""
    ((code, text, _),) = found("tests.django.routing")
    assert code == "routechan.E002"
    assert "a module was given, name the list inside it: 'tests.django.routing.channel_routing'" in text


def test_an_unknown_backend() -> None:
    """A backend that cannot be imported is named with what there is."""
    ((code, text, _),) = found([], BACKEND="routechan.layers.Redis")
    assert code == "routechan.E001"
    assert "'routechan.layers.Redis', which cannot be imported" in text


def test_workers_on_the_memory_layer() -> None:
    """Workers are other processes, and none of them sees the memory of this one."""
    ((code, text, hint),) = found([], CONSUMERS="workers")
    assert code == "routechan.E003"
    assert "no other process can see" in text
    assert '"CONSUMERS": "inline"' in hint


def test_an_unknown_setting() -> None:
    """A misspelt key of ROUTECHAN is an error, once."""
    with override_settings(ROUTECHAN={"THREDS": 3}):
        (message,) = run_checks(tags=["routechan"])
    assert message.id == "routechan.E004"
    assert "did you mean 'THREADS'?" in message.msg


def test_an_event_no_server_sends() -> None:
    """A misspelt websocket channel would wait for ever."""
    ((code, text, hint),) = found([route("websocket.recieve", consumer)])
    assert code == "routechan.W003"
    assert "no server sends messages on 'websocket.recieve'" in text
    assert "websocket.receive" in hint


@pytest.mark.parametrize(
    "routing",
    [
        [route("websocket.receive", consumer, path=r"^chat/")],
        [include([route("websocket.receive", consumer)], path=r"chat")],
    ],
)
def test_a_path_without_its_slash(routing: Any) -> None:
    """Patterns written like Django's URLs, without the leading slash, never match."""
    ((code, text, hint),) = found(routing)
    assert code == "routechan.W004"
    assert "a path begins with a slash" in text
    assert "r'^/...'" in hint


def test_a_path_inside_an_include_needs_no_slash() -> None:
    """What is left of a path behind a prefix may begin with anything (RT-19)."""
    assert found([include([route("websocket.receive", consumer, path=r"^chat/")], path=r"^/")]) == []


def test_an_option_the_backend_does_not_know() -> None:
    """A misspelt option in CONFIG is found here, not by the first socket."""
    ((code, text, _),) = found([], CONFIG={"capcity": 5})
    assert code == "routechan.E001"
    assert (
        "['CONFIG'] has the option 'capcity', which InMemoryChannelLayer does not know (did you mean 'capacity'?)"
        in text
    )


def without_room(message: Any) -> None:
    """A consumer that takes no named group."""


def test_a_consumer_that_does_not_take_what_its_route_gives() -> None:
    """A named group, of the route or of an include above it, that the consumer has no argument for."""
    below = include([route("websocket.receive", without_room)], path=r"^/(?P<room>\w+)/")
    for routing in ([route("websocket.receive", without_room, path=r"^/(?P<room>\w+)/$")], [below]):
        ((code, text, hint),) = found(routing)
        assert code == "routechan.W005"
        assert "unexpected keyword argument 'room'" in text
        assert "write def without_room(message, room)" in hint


def test_a_missing_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an ASGI server the hint says how to install one."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (message,) = checks.check_server(None)
    assert message.id == "routechan.W002"
    assert "pip install 'routechan[server]'" in (message.hint or "")
