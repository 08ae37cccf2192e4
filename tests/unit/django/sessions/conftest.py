"""A connection, the session of a browser, and the session engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.backends import cache, cached_db, db, file
from django.test import override_settings

from routechan.inspection import Kind
from tests.unit.django.helpers import new_reply_channel

ENGINES = {"db": db, "file": file, "cache": cache, "cached_db": cached_db}


@pytest.fixture(scope="session")
def session_files(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One folder for all tests: Django's file engine remembers the first it is told."""
    return str(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, session_files: str) -> Iterator[Any]:
    """Each session engine of Django that keeps what it is given on the server."""
    module = ENGINES[request.param]
    with override_settings(SESSION_ENGINE=module.__name__, SESSION_FILE_PATH=session_files):
        yield module


@pytest.fixture
def name() -> str:
    """The reply channel of a connection that no other test has."""
    return new_reply_channel()


@pytest.fixture(params=[Kind.STREAM, Kind.ASYNC_STREAM], ids=lambda kind: kind.value)
def stream_kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of generator."""
    return request.param


@pytest.fixture
def browser() -> db.SessionStore:
    """A browser's session."""
    session = db.SessionStore()
    session["species"] = "rabbit"
    session.create()
    return session
