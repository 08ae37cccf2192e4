"""The page in the admin: who may see it, and what it shows of one process, of several, and of a layer that is away."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse
from websockets.asyncio.client import connect

from routechan import Group, route
from routechan.layers import DEFAULT_CHANNEL_LAYER, RedisChannelLayer, channel_layers
from routechan_django.asgi import get_asgi_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.overview.models import Overview
from routechan_django.sessions.logins import user_group_name
from routechan_django.test import apply_routes
from tests.integration.workers.fleet import Fleet
from tests.processes import free_port
from tests.redis_servers import SingleServer, shared
from tests.unit.asgi.clients import Open
from tests.unit.asgi.consumers import echo

URL = "/admin/routechan_overview/overview/"


@pytest.fixture
def staff(user: User) -> User:
    """A member of staff who may do nothing yet."""
    user.is_staff = True
    user.save()
    return user


@pytest.fixture
def allowed(staff: User) -> Client:
    """A browser of one who may see the page."""
    staff.user_permissions.add(Permission.objects.get(codename="view_overview"))
    return browser_of(staff)


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, **query: str) -> str:
    response = client.get(URL, query)
    assert response.status_code == 200
    return response.content.decode()


def test_who_may_see_it(staff: User, layer: ChannelLayerWrapper) -> None:
    """Staff with the permission find it in the index of the admin; others are refused, and nobody changes a thing."""
    assert reverse("admin:routechan_overview_overview_changelist") == URL
    assert Client().get(URL).status_code == 302, "to the login"
    without = browser_of(staff)
    assert without.get(URL).status_code == 403
    assert URL not in without.get("/admin/").content.decode()
    staff.user_permissions.add(Permission.objects.get(codename="view_overview"))
    allowed = browser_of(staff)
    index = allowed.get("/admin/").content.decode()
    assert URL in index
    assert f"{URL}add/" not in index
    assert "Channels now" in page(allowed)
    assert allowed.get(f"{URL}add/").status_code == 404
    assert list(Permission.objects.filter(content_type__app_label="routechan_overview")) == [
        Permission.objects.get(codename="view_overview")
    ]


def test_the_model_disturbs_no_command() -> None:
    """It has no table, and no command looks for one."""
    output = io.StringIO()
    call_command("makemigrations", "--check", "--dry-run", "routechan_overview", stdout=output)
    for options in ([], ["--all"]):
        call_command("dumpdata", "routechan_overview", *options, stdout=output)
    assert output.getvalue().count("[]") == 2
    create_permissions(apps.get_app_config("routechan_overview"), verbosity=0)
    assert list(Overview.objects.all()) == []
    assert str(Overview()) == "overview"


async def test_one_process(layer: ChannelLayerWrapper, staff: User) -> None:
    """A layer in memory: what this process serves is shown, and that others are not seen."""
    browser = await asyncio.to_thread(_allowed, staff)
    assert "No server and no worker is on this layer." in await asyncio.to_thread(page, browser)

    def join(message: Any) -> None:
        message.reply_channel.send({"accept": True})
        Group("chat-django").add(message.reply_channel)
        Group("routechan.internal").add(message.reply_channel)

    with apply_routes([route("websocket.connect", join), route("websocket.receive", echo), route("custom", echo)]):
        application = get_asgi_application()
        async with Open(application) as opened:
            text = await asyncio.to_thread(page, browser, group="chat-django")
    assert "lives in this process: other processes are not seen here" in text
    assert "<strong>1</strong> process" in text
    assert "<strong>1</strong> open socket" in text
    assert "<code>custom</code>" in text
    assert '<code>chat-django</code></a></td><td class="n">1</td>' in text
    assert "routechan.internal" not in text
    assert "The group <strong>chat-django</strong> has 1 member." in text
    assert "<li><code>websocket.send." in text
    assert opened


def _allowed(staff: User) -> Client:
    staff.user_permissions.add(Permission.objects.get(codename="view_overview"))
    return browser_of(staff)


def test_lookups(allowed: Client, staff: User, layer: ChannelLayerWrapper) -> None:
    """Members of a group; sockets of a user, for those who may see users; what is not there is said."""
    Group(user_group_name(staff)).add("a-socket")
    assert "The group <strong>empty</strong> has 0 members." in page(allowed, group="empty")
    assert "a group name holds" in page(allowed, group="<script>")
    assert "<script>alert" not in page(allowed, group="<script>alert")
    assert "sockets of the user" not in page(allowed)
    assert "a-socket" not in page(allowed, user=staff.username)
    staff.user_permissions.add(Permission.objects.get(codename="view_user"))
    for written in (staff.username, str(staff.pk)):
        text = page(browser_of(staff), user=written)
        assert "has 1 socket." in text
        assert "<code>a-socket</code>" in text
    assert "there is no user &#x27;nobody&#x27;" in page(browser_of(staff), user="nobody")


def test_reloading(allowed: Client, layer: ChannelLayerWrapper) -> None:
    """The page reloads itself if it is asked to, and an unknown layer is the default one."""
    assert 'http-equiv="refresh"' not in page(allowed)
    assert '<meta http-equiv="refresh" content="5">' in page(allowed, reload="1", layer="nonesuch")


@contextmanager
def redis_layer(hosts: list[Any], **config: Any) -> Iterator[RedisChannelLayer]:
    options = {"hosts": hosts, "send_timeout": 0.3, **config}
    described = {"BACKEND": "routechan.layers.RedisChannelLayer", "CONFIG": options, "ROUTING": []}
    made = RedisChannelLayer(**options)
    with (
        override_settings(CHANNEL_LAYERS={"default": described, "<other>": described}),
        channel_layers.override(DEFAULT_CHANNEL_LAYER, ChannelLayerWrapper(made.sync, "default", [])),
    ):
        yield made
    made.close()


def test_a_layer_that_is_away(allowed: Client) -> None:
    """The page says so, and is there."""
    with redis_layer([f"redis://127.0.0.1:{free_port()}"]):
        assert 'class="errornote"' in page(allowed)
        assert 'class="errornote"' in page(allowed, group="chat")


@pytest.mark.slow
async def test_several_processes(staff: User, request: pytest.FixtureRequest) -> None:
    """From a process that serves nothing itself: a server, two workers, a backlog, a group on the server."""
    redis = shared(request.config, SingleServer)
    with Fleet(redis.url, servers=1, workers=2) as fleet:
        async with connect(fleet.urls("/")[0]) as socket, connect(fleet.urls("/")[0]):
            await socket.send("x")
            assert await socket.recv() == "x"
            with redis_layer(redis.hosts, prefix=fleet.environment["REDIS_PREFIX"]):
                browser = await asyncio.to_thread(_allowed, staff)
                text = await asyncio.to_thread(page, browser, group="everyone")
    for process in (*fleet.servers, *fleet.workers):
        assert f'<td class="n">{process.process.pid}</td>' in text
    assert "<strong>3</strong> processes" in text
    assert "<strong>2</strong> open sockets" in text
    assert "The group <strong>everyone</strong> has 2 members." in text
    assert '<code>everyone</code></a></td><td class="n">2</td><td class="n">1</td>' in text
    assert "<code>websocket.receive</code>" in text
    assert "tests.integration.workers.consumers.echo" in text
    assert '<a href="?layer=%3Cother%3E">&lt;other&gt;</a>' in text
