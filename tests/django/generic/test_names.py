"""The names of 1.x in ``channels.generic`` and ``channels.binding``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

NAMES = {
    "generic": "BaseConsumer",
    "generic.base": "BaseConsumer channel_session channel_session_user route_class",
    "generic.websockets": (
        "WebsocketConsumer JsonWebsocketConsumer WebsocketMultiplexer WebsocketDemultiplexer BaseConsumer Group "
        "enforce_ordering SendNotAvailableOnDemultiplexer channel_session_user_from_http "
        "channel_and_http_session_user_from_http DjangoJSONEncoder json"
    ),
    "binding": "Binding",
    "binding.base": (
        "CREATE UPDATE DELETE BindingMetaclass Binding channel_session channel_session_user Group apps "
        "pre_save post_save pre_delete post_delete"
    ),
    "binding.websockets": (
        "WebsocketBinding WebsocketBindingWithMembers Binding WebsocketMultiplexer enforce_ordering "
        "DjangoJSONEncoder serializers json"
    ),
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module: str) -> None:
    """Sections 13.1 and 13.2: what these modules define, and what applications import from them all the same."""
    imported = importlib.import_module(f"routechan_django.{module}")
    assert [name for name in NAMES[module].split() if not hasattr(imported, name)] == []


def test_no_demultiplexer_of_other_versions() -> None:
    """GN-36: what 1.1.8 had not is not here either."""
    websockets = importlib.import_module("routechan_django.generic.websockets")
    assert not hasattr(websockets, "WebsocketConsumerDemultiplexer")
    assert not hasattr(websockets.WebsocketDemultiplexer, "encode")


def test_import_before_settings() -> None:
    """Section 0: the modules can be imported before there are settings."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    code = "import routechan_django.generic.websockets, routechan_django.binding.websockets"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=30)
