"""What is wrong with the settings is said with what came, what was expected and what to write."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routechan.asgi import ServerOptions
from routechan.exceptions import InvalidChannelLayerError
from routechan_django import conf
from routechan_django.asgi import make_layer

MEMORY = "routechan.layers.InMemoryChannelLayer"
ROUTING = "tests.django.routing.channel_routing"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"ROUTING": ROUTING}, r"has no BACKEND; write .*InMemoryChannelLayer"),
        ({"BACKEND": "nowhere.Layer", "ROUTING": ROUTING}, r"'nowhere.Layer', which cannot be imported"),
        ({"BACKEND": "collections.OrderedDict", "ROUTING": ROUTING}, r"which is no channel layer; expected a class"),
        ({"BACKEND": MEMORY}, r"has no ROUTING; write .*channel_routing"),
        ({"BACKEND": MEMORY, "ROUTING": ROUTING, "CONSUMERS": "inlined"}, r"'inline' or 'workers', not 'inlined'"),
        ({"BACKEND": MEMORY, "ROUTTING": ROUTING}, r"unknown key 'ROUTTING' \(did you mean 'ROUTING'\?\)"),
        ("memory", r"is a dict with BACKEND and ROUTING, not 'memory'"),
    ],
)
def test_mistakes_in_channel_layers(config: Any, text: str) -> None:
    """LM-07: each mistake in an entry of CHANNEL_LAYERS names the entry and what to write."""
    with (
        override_settings(CHANNEL_LAYERS={"default": config}),
        pytest.raises(InvalidChannelLayerError, match=rf"CHANNEL_LAYERS\['default'\].*{text}"),
    ):
        conf.layer_config("default")


@override_settings(CHANNEL_LAYERS={"default": {"BACKEND": MEMORY, "ROUTING": ROUTING, "CONFIG": {"hosts": []}}})
def test_an_option_the_backend_does_not_know() -> None:
    """An unknown option is refused by name."""
    with pytest.raises(InvalidChannelLayerError, match=r"\['CONFIG'\] is .*hosts"):
        make_layer("default")


@override_settings(CHANNEL_LAYERS=["default"])
def test_channel_layers_of_another_type() -> None:
    """CHANNEL_LAYERS that is no dict is refused with what it should be."""
    with pytest.raises(InvalidChannelLayerError, match="a dict of alias: config"):
        conf.layer_aliases()


@override_settings(CHANNEL_LAYERS=None)
def test_no_channel_layers() -> None:
    """ST-01: an absent CHANNEL_LAYERS counts as empty."""
    assert conf.layer_aliases() == []
    assert conf.layer_config("default") is None


def test_every_server_setting() -> None:
    """Each key of ROUTECHAN reaches the option it names."""
    given = {
        "ALLOWED_ORIGINS": ["example.com"],
        "SUBPROTOCOLS": ["json"],
        "HANDSHAKE_TIMEOUT": 1.5,
        "SOCKET_CAPACITY": 7,
        "HTTP_TIMEOUT": 8,
        "BODY_LIMIT": 9,
        "THREADS": 3,
    }
    with override_settings(ROUTECHAN=given):
        assert conf.server_options() == ServerOptions(
            allowed_origins=["example.com"],
            subprotocols=["json"],
            handshake_timeout=1.5,
            socket_capacity=7,
            http_timeout=8,
            body_limit=9,
        )
        assert conf.thread_limit() == 3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"HANDSHAKE_TIMOUT": 1}, r"unknown key 'HANDSHAKE_TIMOUT' \(did you mean 'HANDSHAKE_TIMEOUT'\?\)"),
        ({"SOCKET_CAPACITY": "many"}, r"ROUTECHAN\['SOCKET_CAPACITY'\] is 'many'; expected int"),
        ({"ALLOWED_ORIGINS": "example.com"}, r"\['ALLOWED_ORIGINS'\] is 'example.com'; expected list or tuple"),
        ({"THREADS": 0}, r"\['THREADS'\] is 0; expected an int of at least 1"),
        (["THREADS"], r"ROUTECHAN is a dict of settings"),
    ],
)
def test_mistakes_in_routechan(given: Any, text: str) -> None:
    """A wrong key or value of ROUTECHAN is named, with what was expected."""

    def read() -> None:
        conf.server_options()
        conf.thread_limit()

    with override_settings(ROUTECHAN=given), pytest.raises(ImproperlyConfigured, match=text):
        read()


@override_settings(DEBUG=True, ALLOWED_HOSTS=[])
def test_origins_in_development() -> None:
    """SC-07: with DEBUG and no ALLOWED_HOSTS, the local host may connect, as Django itself has it."""
    assert conf.server_options().allowed_origins == [".localhost", "127.0.0.1", "[::1]"]
