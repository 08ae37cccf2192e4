"""``StaticFilesHandler`` and ``StaticFilesConsumer``: static files for requests that a route takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.core import signals
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.test import override_settings

import routechan
from routechan import route
from routechan.asgi import Application
from routechan.encoding import Content
from routechan.layers import SyncChannelLayer
from routechan_django.handler import AsgiHandler, ViewConsumer
from routechan_django.staticfiles import ASGIStaticFiles, StaticFilesConsumer, StaticFilesHandler
from tests.harness import get
from tests.unit.asgi.clients import Lifespan

from .helpers import connected, http_request
from .views import events

HERE = "tests.unit.django.views"


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[None]:
    """Views, middleware that notes what passes it, and a directory of static files."""
    events.clear()
    (tmp_path / "a file.txt").write_text("static")
    (tmp_path / "large.bin").write_bytes(bytes(1_500_000))
    with override_settings(ROOT_URLCONF=HERE, MIDDLEWARE=[f"{HERE}.Recording"], STATICFILES_DIRS=[tmp_path]):
        yield


def replies(path: str, handler: StaticFilesHandler | None = None, **content: Any) -> list[Content]:
    headers = [[b"host", b"testserver"], *content.pop("headers", [])]
    return list((handler or StaticFilesHandler())(http_request(path, headers=headers)))


@pytest.mark.parametrize("path", ["/static/a file.txt", "/static/a%20file.txt"])
@pytest.mark.parametrize("debug", [True, False])
def test_static_files(default_layer: SyncChannelLayer, path: str, debug: bool) -> None:
    """HT-44: below STATIC_URL, with DEBUG or without, escaped or not; no middleware in between."""
    with override_settings(DEBUG=debug):
        first, last = replies(path)
    assert (first["status"], first["content"]) == (200, b"static")
    assert dict(first["headers"])[b"Content-Type"] == b"text/plain"
    assert last == {"more_content": False}
    assert events == []


OUTSIDE = ["/static/../outside", "/static/%2e%2e/outside", "/static/..%2foutside", "/static/x/../../outside"]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("debug", [True, False])
def test_paths_out_of_the_directories(default_layer: SyncChannelLayer, tmp_path: Path, path: str, debug: bool) -> None:
    """HT-44: a 400, as Django's views answer what is suspicious."""
    (tmp_path.parent / "outside").write_text("secret")
    with override_settings(DEBUG=debug):
        found = replies(unquote(path))
    assert found[0]["status"] == 400
    assert b"secret" not in b"".join(reply.get("content", b"") for reply in found)


@pytest.mark.parametrize("path", [*OUTSIDE, "/static//etc/passwd", "/static/%00", "/static/a%20file.txt%00"])
async def test_paths_on_the_development_server(tmp_path: Path, path: str) -> None:
    """What ``runserver`` and live servers put around the application answers 400 or 404, and raises nothing."""
    (tmp_path.parent / "outside").write_text("secret")
    status, body = await get(ASGIStaticFiles(ASGIHandler()), unquote(path))
    assert status == (400 if "outside" in path else 404)
    assert b"secret" not in body


def test_large_files_come_in_blocks(default_layer: SyncChannelLayer) -> None:
    """HT-29, HT-36: half a megabyte at a time."""
    assert [len(reply.get("content", b"")) for reply in replies("/static/large.bin")] == [524288, 524288, 451424, 0]


def test_other_paths_go_to_the_views(default_layer: SyncChannelLayer) -> None:
    """HT-44, HT-47: and through middleware."""
    [reply] = replies("/hello/")
    assert reply["content"] == b"hello /hello/"
    assert events == [200]


def test_a_file_that_is_missing(default_layer: SyncChannelLayer) -> None:
    """HT-45: Django's page with DEBUG; without, a view may have it."""
    with override_settings(DEBUG=True):
        [reply] = replies("/static/not-a-file.txt")
        assert reply["status"] == 404
        assert b"DEBUG = True" in reply["content"]
    assert events == []
    [reply] = replies("/static/not-a-file.txt")
    assert reply["content"] == b"hello /static/not-a-file.txt"
    assert replies("/static/neither/")[0]["status"] == 404


def test_an_unchanged_file(default_layer: SyncChannelLayer) -> None:
    """HT-44: Django's own view serves, with what it knows of caches."""
    modified = dict(replies("/static/a file.txt")[0]["headers"])[b"Last-Modified"]
    [reply] = replies("/static/a file.txt", headers=[[b"if-modified-since", modified]])
    assert (reply["status"], reply["content"]) == (304, b"")


@override_settings(STATIC_URL="https://cdn.example.com/static/")
def test_static_files_of_another_host(default_layer: SyncChannelLayer) -> None:
    """HT-44: are not ours to serve."""
    assert replies("/static/a file.txt")[0]["status"] == 404


def test_signals_and_closing(default_layer: SyncChannelLayer) -> None:
    """HT-24: a file and its request are closed, and the sender is the class."""
    senders: list[Any] = []

    def finished(sender: type, **_: Any) -> None:
        senders.append(sender)

    with connected(finished, signals.request_finished):
        replies("/static/a file.txt")
    assert senders == [StaticFilesHandler]


def test_the_methods_to_override(default_layer: SyncChannelLayer) -> None:
    """HT-43, HT-47: any arguments; the methods of 1.x."""
    assert issubclass(StaticFilesHandler, AsgiHandler)

    class Assets(StaticFilesHandler):
        def get_base_url(self) -> str:
            return "/assets/"

    handler = Assets("ignored", application=None)
    assert handler.base_url.path == "/assets/"
    assert handler._should_handle("/assets/a file.txt")
    assert not handler._should_handle("/static/a file.txt")
    assert handler.file_path("/assets/a%20b/c.css") == "a b/c.css"
    assert replies("/assets/a file.txt", handler)[0]["content"] == b"static"


@override_settings(STATIC_URL=None)
def test_without_a_static_url() -> None:
    """HT-43: Django's own check of the settings."""
    with pytest.raises(ImproperlyConfigured, match="STATIC_URL"):
        StaticFilesHandler()


async def test_the_consumer(default_layer: SyncChannelLayer) -> None:
    """HT-46: a ``ViewConsumer`` with this handler, here behind a server."""
    assert issubclass(StaticFilesConsumer, ViewConsumer)
    assert StaticFilesConsumer.handler_class is StaticFilesHandler
    application: Application = routechan.application(
        [route("http.request", StaticFilesConsumer())], default_layer.layer
    )
    async with Lifespan(application):
        assert await get(application, "/static/a file.txt") == (200, b"static")
        assert await get(application, "/static/large.bin") == (200, bytes(1_500_000))
        assert await get(application, "/hello/") == (200, b"hello /hello/")
