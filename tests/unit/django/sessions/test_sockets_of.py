"""The sockets of users and of browsers' sessions: found, and closed at once."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.test import override_settings

from routechan import route
from routechan.inspection import Kind
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.auth import (
    adisconnect_user,
    channel_and_http_session_user_from_http,
    channel_session_user_from_http,
    disconnect_user,
    http_session_user,
    sockets_of_session,
    sockets_of_user,
)
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.sessions import logins, session_for_reply_channel
from tests.harness import WebSocket
from tests.unit.django.helpers import cookie, log_in, stored

from .test_logins import ANONYMOUS, browser, closes, log_out, opened, received, request_of

__all__ = ["browser"]


@pytest.fixture
def site(layer: ChannelLayerWrapper) -> Any:
    """A site whose sockets only listen."""

    @channel_session_user_from_http
    def listen(message: Any) -> None:
        message.reply_channel.send({"accept": True})

    layer.router = Router([route("websocket.connect", listen)])
    return build_application(layer)


async def test_a_socket_that_only_listens(site: Any, browser: Any, user: User) -> None:
    """A logout in a process with the layer closes the session's sockets at once, and nobody else's."""
    other = await sync_to_async(lambda: log_in(db.SessionStore(), user))()
    await sync_to_async(other.create)()
    async with AsyncExitStack() as stack:

        async def accepted(session: Any = None) -> WebSocket:
            headers: Any = [tuple(cookie(session.session_key)[0])] if session is not None else []
            socket = await stack.enter_async_context(WebSocket(site, headers=headers))
            return await socket.accepted()

        # One after the other: SQLite in memory locks a table for who comes while another thread writes to it.
        one, two, elsewhere, stranger = [await accepted(session) for session in (browser, browser, other, None)]
        await sync_to_async(log_out)(browser, user)
        for socket in (one, two):
            assert (await socket.event())["code"] == 1008
        assert await elsewhere.nothing()
        assert await stranger.nothing()
        assert await sockets_of_session(other.session_key).acount() == 1
        await adisconnect_user(user, code=4001)
        assert (await elsewhere.event())["code"] == 4001
        assert await stranger.nothing()


def test_a_socket_that_connects_in_the_middle_of_a_logout(
    layer: ChannelLayerWrapper, browser: Any, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django tells of a logout before the session is gone; who slips in is closed a little later."""
    sent: list[tuple[Any, float]] = []
    monkeypatch.setattr(
        layer.channel_layer, "send_group", lambda name, content, delay=0.0, **more: sent.append((content, delay))
    )
    log_out(browser, user)
    assert sent == [({"close": 1008}, 0.0), ({"close": 1008}, logins.CLOSE_AGAIN)]


@pytest.mark.parametrize("setting", [ANONYMOUS, {}])
def test_nobody_is_closed_who_goes_on(layer: ChannelLayerWrapper, browser: Any, user: User, setting: Any) -> None:
    """With ``ON_LOGOUT`` anonymous nothing is sent; nor where nobody was logged in, or the request has no session."""
    with override_settings(ROUTECHAN=setting):
        first = opened(browser, layer)
        if setting:
            log_out(browser, user)
        auth.signals.user_logged_out.send(User, request=None, user=None)
        auth.signals.user_logged_out.send(User, request=HttpRequest(), user=user)
        auth.logout(request_of(db.SessionStore()))
        assert closes(layer, first) == []


def test_a_logout_never_fails(
    layer: ChannelLayerWrapper,
    browser: Any,
    user: User,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever becomes of the sockets, the browser is logged out."""

    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError("no Redis")

    monkeypatch.setattr(layer.channel_layer, "send_group", fails)
    with caplog.at_level(logging.ERROR, "routechan"):
        log_out(browser, user)
    assert not db.SessionStore().exists(browser.session_key)
    assert "are not told" in caplog.text


def test_no_layers(browser: Any, user: User) -> None:
    """A site without channel layers logs out as ever."""
    with override_settings(CHANNEL_LAYERS={}):
        log_out(browser, user)
    assert not db.SessionStore().exists(browser.session_key)


def test_a_layer_that_cannot_be_reached(
    layer: ChannelLayerWrapper, browser: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket is opened all the same; its login is looked up at its events."""

    def fails(*args: Any) -> None:
        raise OSError("no Redis")

    monkeypatch.setattr(layer.channel_layer, "group_add", fails)
    with caplog.at_level(logging.WARNING, "routechan"):
        first = opened(browser, layer)
    assert stored(first["reply_channel"])[auth.SESSION_KEY]
    assert len(caplog.records) == 1


# The public functions


def test_sockets_of(layer: ChannelLayerWrapper, browser: Any, user: User, kind: Kind) -> None:
    """The groups of a user and of a session: from objects or keys, for every decorator of a connect."""
    names = {
        opened(browser, layer, kind, decorator)["reply_channel"]
        for decorator in (http_session_user, channel_session_user_from_http, channel_and_http_session_user_from_http)
    }
    for group in (
        sockets_of_user(user),
        sockets_of_user(user.pk),
        sockets_of_user(str(user.pk)),
        sockets_of_session(browser),
        sockets_of_session(browser.session_key),
    ):
        assert set(group.channels()) == names
    assert browser.session_key not in sockets_of_session(browser).name
    disconnect_user(user)
    assert received(layer) == {name: [{"close": 1008}] for name in names}


@pytest.mark.parametrize("nobody", [AnonymousUser(), User(), None, ""])
def test_nobody(nobody: Any) -> None:
    """Nobody has no sockets; a user that is deleted has lost the key."""
    for call in (sockets_of_user, disconnect_user):
        with pytest.raises(ValueError, match="expected a user or the primary key of one"):
            call(nobody)


@pytest.mark.parametrize("session", [db.SessionStore(), None, ""])
def test_no_session(session: Any) -> None:
    """A session that was never stored has no key."""
    with pytest.raises(ValueError, match="expected a browser's session or its key"):
        sockets_of_session(session)


def test_the_session_of_a_socket(name: str) -> None:
    """The channel session is not what a browser logs in to."""
    with pytest.raises(ValueError, match="this is the channel session of one socket"):
        sockets_of_session(session_for_reply_channel(name))


def test_anonymous_sockets_are_in_no_group(layer: ChannelLayerWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not logged in costs nothing on the layer."""
    joined: list[str] = []
    monkeypatch.setattr(layer.channel_layer, "group_add", lambda group, channel: joined.append(group))
    session = db.SessionStore()
    session["cart"] = 1
    session.create()
    opened(session, layer)
    assert joined == []
