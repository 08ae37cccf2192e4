"""Each name of spec section 13, under its old name and in the module of ours that stands for it."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

import pytest

from tests.unit.django.alias import inventory
from tests.unit.django.alias.running import run_code

SETUP = """
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions",
                        "channels", "channels.delay"],
        CHANNEL_LAYERS={"default": {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": []}},
        SECRET_KEY="tests only",
    )
    import django
    django.setup()
    import importlib, sys, warnings
    from tests.unit.django.alias import inventory
    warnings.simplefilter("ignore", DeprecationWarning)
"""


def test_every_name_through_the_alias(tmp_path: Path) -> None:
    """Section 13.1 and 13.2: each module of 1.1.8 is importable after ``install()``, and has each name."""
    code = """
    missing = []
    for module in {*inventory.PUBLIC, *inventory.INCIDENTAL}:
        importlib.import_module(module)
    for module, name in inventory.names():
        if not hasattr(sys.modules[module], name):
            missing.append(f"{module}.{name}")
    print(*missing)
    """
    assert run_code(tmp_path, SETUP + code).split() == []


def test_old_modules_are_ours(tmp_path: Path) -> None:
    """Each old name is the same module object as ours, so that a patch or a subclass of one is of both."""
    code = """
    for module in {*inventory.PUBLIC} - {"channels", "channels.message", "channels.routing"}:
        ours = inventory.HOMES.get(module, module.replace("channels", "routechan_django", 1))
        if importlib.import_module(module) is not importlib.import_module(ours):
            print(module)
    """
    assert run_code(tmp_path, SETUP + code).split() == []


def test_every_name_without_the_alias() -> None:
    """The same names are in our own modules; what 1.x merely imported from Django is where it was, too."""
    only_old = {
        ("channels.message", "PendingMessageStore"),
        ("channels.message", "pending_message_store"),
        ("channels.message", "consumer_started"),
        ("channels.message", "consumer_finished"),
        ("channels.routing", "ImproperlyConfigured"),
        ("channels", "default_app_config"),
        ("channels", "asgi"),
        ("channels", "utils"),
    }
    missing = []
    for module, name in inventory.names():
        if module.startswith("channels.delay") or module == "channels.apps" or (module, name) in only_old:
            continue  # needs an app of that name
        ours = inventory.HOMES.get(module, module.replace("channels", "routechan_django", 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            if not hasattr(importlib.import_module(ours), name):
                missing.append(f"{ours}.{name}")
    assert missing == []


def test_our_modules_before_the_settings(tmp_path: Path) -> None:
    """Section 0, SE-02, AU-08, SC-10: without the alias too they are importable, and decorate, before the settings."""
    code = """
    import importlib, warnings
    from django.conf import settings
    from tests.unit.django.alias import inventory
    warnings.simplefilter("ignore", DeprecationWarning)
    for module in inventory.PUBLIC:
        ours = inventory.HOMES.get(module, module.replace("channels", "routechan_django", 1))
        if not ours.startswith("routechan_django.delay.") and not ours.startswith("routechan_django.alias."):
            importlib.import_module(ours)
    import routechan_django.delay.apps, routechan_django.delay.consumers
    from routechan_django.auth import channel_and_http_session_user_from_http
    from routechan_django.sessions import enforce_ordering
    enforce_ordering(channel_and_http_session_user_from_http(print))
    print(settings.configured)
    """
    assert run_code(tmp_path, code, installed=False) == "False\n"


@pytest.mark.parametrize("module", inventory.DEPRECATED)
def test_deprecated_modules_say_so(module: str, tmp_path: Path) -> None:
    """LD-40: ``channels.tests`` and ``channels.test.http`` warn when they are imported."""
    code = f"""
    warnings.simplefilter("always")
    for name in ("channels.tests", "channels.test.http", "routechan_django.tests", "routechan_django.test.http"):
        sys.modules.pop(name, None)
    with warnings.catch_warnings(record=True) as caught:
        importlib.import_module({module!r})
    print(*[warning.category.__name__ for warning in caught])
    """
    assert "DeprecationWarning" in run_code(tmp_path, SETUP + code)


def test_modules_of_tests_in_1_0(tmp_path: Path) -> None:
    """``channels.tests.base`` and ``channels.tests.http``, where Channels 1.0 had its test classes, are importable."""
    code = """
    from channels.tests.base import ChannelTestCase
    from channels.tests.http import HttpClient
    from channels.test import ChannelTestCase as TestCase, HttpClient as Client
    print(ChannelTestCase is TestCase, HttpClient is Client)
    """
    assert run_code(tmp_path, SETUP + code) == "True True\n"


def test_names_that_were_not_there(tmp_path: Path) -> None:
    """Section 13.3: importing what 1.1.8 did not have is an ImportError that says what to do."""
    code = """
    for module in inventory.ABSENT:
        try:
            importlib.import_module(module)
        except ImportError as error:
            print(module, error)
    """
    said = dict(line.split(" ", 1) for line in run_code(tmp_path, SETUP + code).splitlines())
    assert said.keys() == inventory.ABSENT.keys()
    for module, advice in inventory.ABSENT.items():
        assert advice in said[module]


def test_what_is_nowhere(tmp_path: Path) -> None:
    """Another submodule is an ordinary ImportError, and asking whether it is there an ordinary no."""
    code = """
    import importlib.util
    for name in ("channels.nowhere", "channels.conf", "channels.generic.nowhere", "asgiref.nowhere"):
        assert importlib.util.find_spec(name) is None, name
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            print(error)
    """
    assert run_code(tmp_path, SETUP + code).splitlines() == [
        f"No module named '{name}'"
        for name in ("channels.nowhere", "channels.conf", "channels.generic.nowhere", "asgiref.nowhere")
    ]
