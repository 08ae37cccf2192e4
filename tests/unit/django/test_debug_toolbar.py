"""The panel for django-debug-toolbar, in the toolbar itself."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path

from routechan import Channel, Group
from routechan.exceptions import ChannelLayerUnavailable
from routechan.sending import notes
from routechan_django.debug_toolbar import ChannelsPanel
from routechan_django.layer import ChannelLayerWrapper


def sends(request: HttpRequest) -> HttpResponse:
    Channel("thumbnail").send({"picture": "x" * 1000, "html": "<b>"})
    Group("chat").send({"text": "hello"}, delay=2.5)
    with transaction.atomic():
        Group("chat").send({"text": "committed"}, on_commit=True)
    return HttpResponse("<html><body>sent</body></html>")


async def asends(request: HttpRequest) -> HttpResponse:
    await Group("chat").asend({"text": "from async code"})
    return HttpResponse("<html><body>sent</body></html>")


def silent(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<html><body>nothing</body></html>")


@pytest.fixture
def toolbar(layer: ChannelLayerWrapper) -> Iterator[None]:
    """The toolbar with this panel only; it can be imported where it is an app."""
    pytest.importorskip("debug_toolbar")
    urls = ModuleType("urls_with_toolbar")
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, "debug_toolbar"],
        DEBUG=True,
        ROOT_URLCONF=urls,
        MIDDLEWARE=["debug_toolbar.middleware.DebugToolbarMiddleware"],
        DEBUG_TOOLBAR_PANELS=["routechan_django.debug_toolbar.ChannelsPanel"],
        DEBUG_TOOLBAR_CONFIG={"SHOW_TOOLBAR_CALLBACK": f"{__name__}.shown", "RENDER_PANELS": True},
    ):
        toolbar = importlib.import_module("debug_toolbar.toolbar").DebugToolbar
        toolbar._panel_classes = None
        views = [path("sends/", sends), path("asends/", asends), path("silent/", silent)]
        urls.urlpatterns = [*views, path("__debug__/", include("debug_toolbar.urls"))]  # type: ignore[attr-defined]
        yield
    toolbar._panel_classes = None


def shown(request: HttpRequest) -> bool:
    return True


@pytest.mark.usefixtures("toolbar")
def test_a_request() -> None:
    """What was sent, shortened and escaped, with when it leaves and where it was sent."""
    Group("chat").add("a")
    page = Client().get("/sends/").content.decode()
    text = html.unescape(page)
    assert "3 messages sent" in text
    assert "'picture': 'xxxx" in text
    assert "x" * 300 not in text
    assert "<b>" not in page
    assert text.count("<td>at once</td>") == 1
    assert "at once, after 2.5 s" in text
    assert "<em>on commit</em>" in text
    assert text.count("<td>1</td>") == 2, "the members of the group, once for each row of it"
    assert f"{__file__}:" in text
    assert notes.blocks == 0
    assert "0 messages sent" in Client().get("/silent/").content.decode()


@pytest.mark.usefixtures("toolbar")
async def test_an_async_view() -> None:
    """Its sends are noted too; members are not counted, because that would hold up the event loop."""
    page = (await AsyncClient().get("/asends/")).content.decode()
    assert "1 message sent" in page
    assert "from async code" in page
    assert notes.blocks == 0


@pytest.mark.usefixtures("toolbar")
def test_a_layer_that_cannot_be_asked(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is there, without the number of members."""

    def group_count(group: str) -> int:
        raise ChannelLayerUnavailable("away")

    monkeypatch.setattr(layer, "group_count", group_count)
    response = Client().get("/sends/")
    assert response.status_code == 200
    assert "3 messages sent" in response.content.decode()


def test_without_the_toolbar() -> None:
    """The module can be imported, and says what it is."""
    assert ChannelsPanel.template == "routechan_django/panel.html"
