"""The plugin for pytest, which pytest finds by itself; nothing of Django is imported before a fixture is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from routechan.testing.sent import SentMessages

    from .test import WSClient
    from .test.servers import DaphneProcess

#: The names of pytest-django's plugin, found by itself and given with ``-p``.
PYTEST_DJANGO = ("django", "pytest_django.plugin")

#: Fixtures of ours, and the fixture of pytest-django that each needs.
NEEDS = {"routechan_live_server": "transactional_db", "routechan_client": "db"}

#: How many plain consumers the live server runs side by side.
THREADS = 4


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have each test name the database that our fixtures need.

    pytest-django looks at the tests to see which test databases to make, before it has run any. What a fixture asked
    for later would be the real database.

    Args:
        config: pytest's; it knows whether there is pytest-django.
        items: The tests.
    """
    if not any(map(config.pluginmanager.hasplugin, PYTEST_DJANGO)):
        return
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        for ours, needed in NEEDS.items():
            if ours in fixtures and needed not in fixtures and _has_database(ours):
                fixtures.insert(0, needed)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Empty the layers before a test, if there are any: before its fixtures, which may send or join groups.

    Args:
        item: The test; unused.
    """
    testruns = sys.modules.get("routechan_django.testruns")
    if testruns is not None:
        testruns.begin_test()


@pytest.fixture
def routechan_client(request: pytest.FixtureRequest) -> WSClient:
    """A ``WSClient``, which sends messages to the consumers of the project's routing, with no server.

    With pytest-django, which ``request`` knows, the test may use the database, where sessions are kept.
    """
    _set_up_django()
    _check_database(request)
    client: WSClient = importlib.import_module("routechan_django.test").WSClient()
    return client


@pytest.fixture
def routechan_live_server(request: pytest.FixtureRequest) -> Iterator[DaphneProcess]:
    """A server of the project on a thread, with ``url`` for requests and browsers and ``ws_url`` for sockets.

    With pytest-django, which ``request`` knows, the test may use the database, as with ``transactional_db``.

    Yields:
        The server.
    """
    _set_up_django()
    _check_database(request)
    with importlib.import_module("routechan_django.test.liveserver").serving(threads=THREADS) as server:
        yield server


@pytest.fixture
def routechan_sent() -> SentMessages:
    """What was sent in this test: ``routechan_sent.group("chat")`` and ``routechan_sent.channel("thumbnail")``."""
    _set_up_django()
    sent: SentMessages = importlib.import_module("routechan.testing").sent
    return sent


def _set_up_django() -> None:
    """Set Django up where nobody has, and fail where that cannot be; pytest-django did so long before."""
    settings: Any = importlib.import_module("django.conf").settings
    apps = importlib.import_module("django.apps").apps
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        pytest.fail(
            "the fixtures of routechan need a Django project: set DJANGO_SETTINGS_MODULE in the environment, or with "
            "pytest-django in the configuration of pytest. Without Django use routechan.testing",
            pytrace=False,
        )
    if not apps.ready:
        importlib.import_module("django").setup()
    if not apps.is_installed("routechan_django"):
        pytest.fail("the fixtures of routechan need 'routechan_django' in INSTALLED_APPS", pytrace=False)


def _has_database(fixture: str) -> bool:
    """Whether a fixture of ours uses the database of this project, which pytest-django has set up."""
    settings: Any = importlib.import_module("django.conf").settings
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return False
    apps = importlib.import_module("django.apps").apps
    if fixture == "routechan_client" and apps.ready and not apps.is_installed("django.contrib.sessions"):
        return False  # a client stores nothing but its session
    return bool(importlib.import_module("django.db").connections.settings)


def _check_database(request: pytest.FixtureRequest) -> None:
    """Fail where a test would use the real database, because it asked for a fixture of ours while it ran."""
    fixture = str(request.fixturename)
    if (
        any(map(request.config.pluginmanager.hasplugin, PYTEST_DJANGO))
        and fixture not in getattr(request.node, "fixturenames", ())
        and _has_database(fixture)
    ):
        pytest.fail(
            f"pytest-django has made no test database for this: name {fixture} among the arguments of the test, or of "
            f"a fixture that it names, instead of getfixturevalue({fixture!r})",
            pytrace=False,
        )
