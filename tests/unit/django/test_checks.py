"""System checks find what is wrong before a socket is opened, and say what to write."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from routechan import include, route
from routechan_django import checks
from tests.redis_servers import SingleServer, shared
from tests.waiting import stretched

MEMORY = "routechan.layers.InMemoryChannelLayer"


def consumer(message: Any, **kwargs: Any) -> None:
    """A consumer to route to."""


def without_room(message: Any) -> None:
    """A consumer that takes no named group."""


def receive(consumer: Any, **filters: str) -> Any:
    return route("websocket.receive", consumer, **filters)


def found(routing: Any, **config: Any) -> list[tuple[str | None, str, str]]:
    entry = {"BACKEND": MEMORY, "ROUTING": routing, **config}
    with override_settings(CHANNEL_LAYERS={"default": entry}):
        return [(message.id, message.msg, message.hint or "") for message in checks.check_layers(None)]


def test_a_good_project_has_nothing_to_say() -> None:
    """The checks are registered, and pass on a project as the documentation has it."""
    assert run_checks(tags=["routechan"]) == []


SLASH = ("routechan.W004", "a path begins with a slash", "r'^/...'")
ARGUMENT = ("routechan.W005", "unexpected keyword argument 'room'", "write def without_room(message, room)")


@pytest.mark.parametrize(
    ("routing", "config", "expected"),
    [
        pytest.param(
            "tests.unit.django.routing.chanel_routing",
            {},
            ("routechan.E002", "did you mean 'channel_routing'?", ""),
            id="a routing path that leads nowhere, with the nearest name there is",
        ),
        pytest.param(
            "tests.unit.django.routing",
            {},
            (
                "routechan.E002",
                "a module was given, name the list inside it: 'tests.unit.django.routing.channel_routing'",
                "",
            ),
            id="a module in place of what is in it (row 5 of the applications)",
        ),
        pytest.param(
            [],
            {"BACKEND": "routechan.layers.Redis"},
            ("routechan.E001", "'routechan.layers.Redis', which cannot be imported", ""),
            id="a backend that cannot be imported",
        ),
        pytest.param(
            [],
            {"CONSUMERS": "workers"},
            ("routechan.E003", "no other process can see", '"CONSUMERS": "inline"'),
            id="workers, which are other processes, on the memory of this one",
        ),
        pytest.param(
            [route("websocket.recieve", consumer)],
            {},
            ("routechan.W003", "no server sends messages on 'websocket.recieve'", "websocket.receive"),
            id="a misspelt event, which no server sends",
        ),
        pytest.param(
            [route("group.joined", consumer)],
            {},
            ("routechan.W010", "nothing is sent on 'group.joined' unless this project does so", "'group.join'"),
            id="a misspelt join",
        ),
        pytest.param(
            [route("group.leave", consumer, path=r"^/chat/")],
            {},
            ("routechan.W010", "a message on 'group.leave' has no path, only a group and who", "group=r"),
            id="leaves of a path",
        ),
        pytest.param(
            [include([route("group.join", consumer)], path=r"^/chat")],
            {},
            ("routechan.W010", "it never matches, because a message on 'group.join' has no path", "Outside of an inc"),
            id="joins in an include with a path",
        ),
        pytest.param([receive(consumer, path=r"^chat/")], {}, SLASH, id="a path without its slash"),
        pytest.param([include([receive(consumer)], path=r"chat")], {}, SLASH, id="an include without its slash"),
        pytest.param(
            [],
            {"CONFIG": {"capcity": 5}},
            (
                "routechan.E001",
                "['CONFIG'] has the option 'capcity', which InMemoryChannelLayer does not know (did you mean "
                "'capacity'?)",
                "",
            ),
            id="an option that the backend does not know",
        ),
        pytest.param(
            [receive(without_room, path=r"^/(?P<room>\w+)/$")], {}, ARGUMENT, id="a named group without its argument"
        ),
        pytest.param(
            [include([receive(without_room)], path=r"^/(?P<room>\w+)/")], {}, ARGUMENT, id="the same of an include"
        ),
    ],
)
def test_what_is_wrong_with_a_layer(routing: Any, config: dict[str, Any], expected: tuple[str, str, str]) -> None:
    """One message for each mistake, with its id, what is wrong, and a hint what to write."""
    ((code, text, hint),) = found(routing, **config)
    assert code == expected[0]
    assert expected[1] in text
    assert expected[2] in hint


def test_a_path_inside_an_include_needs_no_slash() -> None:
    """What is left of a path behind a prefix may begin with anything (RT-19)."""
    assert found([include([receive(consumer, path=r"^chat/")], path=r"^/")]) == []


@pytest.mark.parametrize(
    ("setting", "code", "text"),
    [
        ({"CHANNEL_LAYERS": {}}, "routechan.W001", "CHANNEL_LAYERS = {"),
        ({"ROUTECHAN": {"THREDS": 3}}, "routechan.E004", "did you mean 'THREADS'?"),
        (
            {"ROUTECHAN": {"CONSUMERS": "workers"}},
            "routechan.E004",
            "'CONSUMERS' belongs into CHANNEL_LAYERS['default']",
        ),
        ({"CHANNEL_LAYERS": {"BACKEND": MEMORY}}, "routechan.E001", "where the alias of a layer is expected"),
    ],
    ids=[
        "without layers no socket is served",
        "a misspelt key is an error, once",
        "a key of another setting is an error, with its place",
        "an entry without its alias",
    ],
)
def test_what_is_wrong_with_the_settings(setting: Any, code: str, text: str) -> None:
    """Each is found by the registered checks, and the message shows what to write."""
    with override_settings(**setting):
        (message,) = run_checks(tags=["routechan"])
    assert message.id == code
    assert text in f"{message.msg} {message.hint}"


@pytest.mark.parametrize("name", ["CHANNEL_LAYER", "CHANNELS_LAYERS", "CHANEL_LAYERS"])
def test_a_misspelt_setting(name: str) -> None:
    """Without CHANNEL_LAYERS, a setting of nearly that name is named."""
    with override_settings(CHANNEL_LAYERS={}, **{name: {"default": {"BACKEND": MEMORY}}}):
        empty, misspelt = run_checks(tags=["routechan"])
    assert empty.id == misspelt.id == "routechan.W001"
    assert f"Nothing reads the setting {name}. Did you mean CHANNEL_LAYERS?" == f"{misspelt.msg} {misspelt.hint}"


def test_a_missing_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an ASGI server the hint says how to install one."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (message,) = checks.check_server(None)
    assert message.id == "routechan.W002"
    assert "pip install 'routechan[server]'" in (message.hint or "")


@pytest.mark.parametrize(
    ("backend", "codes"), [(MEMORY, ["routechan.W009"]), ("routechan.layers.RedisChannelLayer", [])]
)
def test_a_layer_in_memory_is_for_one_process(backend: str, codes: list[str]) -> None:
    """``check --deploy`` says so: a site mostly has several. Without the option nothing is said."""
    entry = {"BACKEND": backend, "ROUTING": []}
    with override_settings(CHANNEL_LAYERS={"default": entry}):
        found = run_checks(tags=["routechan"], include_deployment_checks=True)
        assert [message.id for message in found if message.id != "routechan.W008"] == codes  # its Redis is away
        assert run_checks(tags=["routechan"]) == []
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": "nowhere.Layer"}}):
        assert checks.check_deployment(None) == []


def test_a_redis_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """``check --deploy`` says which layer's, why, and what to correct; other runs ask no Redis."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        hosts = [("127.0.0.1", bound.getsockname()[1])]
        redis = {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": {"hosts": hosts}, "ROUTING": []}
        memory = {"BACKEND": MEMORY, "ROUTING": []}
        with override_settings(CHANNEL_LAYERS={"default": memory, "far": redis}):
            assert run_checks(tags=["routechan"]) == []
            began = time.monotonic()
            (message,) = (m for m in run_checks(include_deployment_checks=True) if m.id == "routechan.W008")
            assert time.monotonic() - began < stretched(checks.REDIS_PATIENCE + 2)
    assert "CHANNEL_LAYERS['far']: Redis cannot be reached" in message.msg
    assert "refused" in message.msg
    assert "CHANNEL_LAYERS['far']['CONFIG']['hosts']" in (message.hint or "")


def test_a_redis_that_is_there(pytestconfig: pytest.Config) -> None:
    """Nothing to say, and nothing is left in it."""
    server = shared(pytestconfig, SingleServer)
    config = {"hosts": server.hosts, "prefix": "check-of-redis"}
    redis = {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": config, "ROUTING": []}
    with override_settings(CHANNEL_LAYERS={"default": redis}):
        assert checks.check_redis(None) == []
    assert server.keys("check-of-redis*") == {}


@pytest.mark.parametrize("setting", [{"default": {"BACKEND": "nowhere"}}, {"default": None}, [], {"default": {}}])
def test_what_is_no_layer_is_no_redis(setting: Any) -> None:
    """E001 says what is wrong."""
    with override_settings(CHANNEL_LAYERS=setting):
        assert checks.check_redis(None) == []
