"""``WSClient``: what its messages carry, handshakes, sessions, and logging in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.http import parse_cookie
from django.test import override_settings

from routechan import Channel, DenyConnection, Message, route
from routechan_django.auth import channel_session_user, channel_session_user_from_http, http_session_user
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.security.websockets import allowed_hosts_only
from routechan_django.sessions import (
    channel_and_http_session,
    enforce_ordering,
    http_session,
    session_for_reply_channel,
)
from routechan_django.test import ChannelTestCase, HttpClient, WSClient, apply_routes


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": {"key": "value"}}, {"text": '{"key": "value"}'}),  # TC-23 (simple_content)
        ({"text": "as it is"}, {"text": "as it is"}),
        ({"content": {"text": ["x"]}, "text": None}, {"text": '["x"]'}),
        ({"content": {"text": "own"}, "text": ""}, {"text": "own"}),
        ({"content": {"path": "/a", "reply_channel": "b"}, "path": "/c"}, {"path": "/a", "reply_channel": "b"}),
        ({"path": "/my/path?test=1&token=2"}, {"path": "/my/path", "query_string": b"test=1&token=2"}),  # (get_params)
        ({"path": "/p?next=/a?b"}, {"path": "/p", "query_string": b"next=/a?b"}),
        ({"path": "/p"}, {"path": "/p", "query_string": None}),
    ],
)
def test_content(layer: ChannelLayerWrapper, arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    """TC-22 (test_wsclient): what is no text is sent as JSON, a path is split at its first ?, content wins."""
    options = dict(arguments)
    given = options.pop("content", {})
    before = dict(given)
    content = WSClient()._get_content(given, **options)
    assert {name: content.get(name) for name in expected} == expected
    assert given == before


class ContentTests(ChannelTestCase):
    def test_cookies(self) -> None:
        """TC-19 (test_wsclient cookies): they round-trip with quoting; the session cookie is there before any send."""
        client = WSClient()
        client.set_cookie("foo", "not-bar")
        client.set_cookie("foo", "bar")
        client.set_cookie("qux", "qu;x")
        assert set(client.get_cookies()) == {"foo", "qux", settings.SESSION_COOKIE_NAME}
        parsed = parse_cookie(client.headers["cookie"].decode("ascii"))
        assert (parsed["foo"], parsed["qux"]) == ("bar", "qu;x")
        assert parsed[settings.SESSION_COOKIE_NAME] == client.session.session_key

    def test_session_in_headers(self) -> None:
        """TC-20, TC-22 (test_wsclient session_in_headers): the cookie is bytes; consumers get a list, not a dict."""
        client = WSClient()
        content = client._get_content()
        assert content["path"] == "/"
        assert content["reply_channel"] == client.reply_channel
        ((name, value),) = content["headers"]
        assert name == b"cookie"
        assert b"sessionid=" in value
        assert client.headers == {"cookie": value}

    def test_session_cookie_again(self) -> None:
        """TC-19, TC-25: ``_session_cookie`` says whether the next message carries it; a test of 1.x may set it."""
        client = WSClient()
        name = settings.SESSION_COOKIE_NAME
        assert client._session_cookie
        client.send("websocket.connect")
        assert not client._session_cookie
        assert name not in client.get_cookies()
        client._session_cookie = True
        assert client.get_cookies()[name] == client.session.session_key
        for _ in range(2):
            client.send("websocket.receive")
        first, again, later = (
            self.get_next_message(f"websocket.{event}", require=True) for event in ("connect", "receive", "receive")
        )
        assert [len(message["headers"]) for message in (first, again, later)] == [1, 1, 0]
        assert first["headers"] == again["headers"]
        silent = WSClient()
        silent._session_cookie = False
        assert name not in silent.get_cookies()

    def test_headers(self) -> None:
        """TC-20: values are bytes or str, names travel in lower case; a cookie header is refused."""
        client = WSClient()
        client.set_header("X-Test", b"1")
        client.set_header("Origin", "http://localhost")
        assert client.headers["X-Test"] == b"1"
        assert client._get_content()["headers"][:2] == [[b"x-test", b"1"], [b"origin", b"http://localhost"]]
        for name in ("cookie", "Cookie"):
            with pytest.raises(ValueError, match="use client.set_cookie"):
                client.set_header(name, b"a=1")

    def test_ordering_in_content(self) -> None:
        """TC-24 (test_wsclient ordering_in_content): the order begins at 0 and can be set; in content it is refused."""
        client = WSClient(ordered=True)
        assert client._get_content()["order"] == 0
        client.order = 2
        assert client._get_content()["order"] == 2
        with pytest.raises(ValueError, match="an ordered client counts itself"):
            client.send("websocket.receive", {"order": 7})

    def test_keyword_arguments_only(self) -> None:
        """TC-18: positional and unknown arguments are refused."""
        with pytest.raises(TypeError):
            WSClient(True)  # type: ignore[misc]
        with pytest.raises(TypeError):
            WSClient(order=1)  # type: ignore[call-arg]


class SocketTests(ChannelTestCase):
    def test_get_params_with_consumer(self) -> None:
        """TC-25, HT-17 (test_wsclient get_params_with_consumer): parameters on connect alone, repeated ones kept."""

        def answer(message: Message) -> None:
            message.reply_channel.send({"text": (message.get("query_string") or b"").decode()})

        routes = [
            route("websocket.connect", http_session(answer), path="^/my/path$"),
            route("websocket.receive", http_session(answer), path="^/my/path$"),
        ]
        client = WSClient()
        with apply_routes(routes):
            client.send_and_consume("websocket.connect", path="/my/path?key=a&key=b", check_accept=False)
            assert client.receive(json=False) == "key=a&key=b"
            client.send_and_consume("websocket.receive", path="/my/path?key=a", check_accept=False)
            assert client.receive(json=False) == ""

    def test_ordering(self) -> None:
        """TC-24, TC-32 (test_wsclient ordering): ordered frames, one route, JSON numbers decoded."""

        @enforce_ordering
        def consumer(message: Message) -> None:
            message.reply_channel.send({"text": message["text"]})

        with apply_routes(route("websocket.receive", consumer)):
            client = WSClient(ordered=True)
            for number in (1, 2, 3):
                client.send("websocket.receive", text=str(number))
            for _ in range(3):
                client.consume("websocket.receive")
        assert [client.receive(), client.receive(), client.receive(), client.receive()] == [1, 2, 3, None]
        assert client.order == 3

    def test_replies(self) -> None:
        """TC-26: JSON decoded or not, all of a reply without text, None for nothing."""
        client = WSClient()
        reply = Channel(client.reply_channel)
        for content in ({"text": "[1]"}, {"text": "[1]"}, {"accept": True}, {}, {"text": "no JSON"}):
            reply.send(content)
        assert client.receive() == [1]
        assert client.receive(json=False) == "[1]"
        assert client.receive() == {"accept": True}
        assert client.receive() is None
        with pytest.raises(ValueError, match="Expecting value"):
            client.receive()
        assert client.receive() is None

    def test_the_handshake_is_checked(self) -> None:
        """TC-27, TC-28, LD-33: connect must be accepted with exactly that, which is taken from the replies."""

        def silent(message: Message) -> None:
            """Says nothing."""

        def talks(message: Message) -> None:
            message.reply_channel.send({"text": "1"})

        client = WSClient()
        with apply_routes(route("websocket.connect", accept)):
            client.send_and_consume("websocket.connect")
            assert client.receive() is None
            client.send_and_consume("websocket.connect", check_accept=False)
            assert client.receive() == {"accept": True}
        with apply_routes(route("websocket.connect", silent)), pytest.raises(AssertionError, match="it sent nothing"):
            client.send_and_consume("websocket.connect")
        with apply_routes(route("websocket.connect", talks)), pytest.raises(AssertionError, match="first reply was"):
            client.send_and_consume("websocket.connect")

    def test_a_denied_handshake(self) -> None:
        """TC-12, TC-27: the check raises what tests of 1.x expect; without it the denial is a reply."""

        def deny(message: Message) -> None:
            raise DenyConnection

        client = WSClient()
        with apply_routes(route("websocket.connect", deny)):
            with pytest.raises(DenyConnection, match="its first reply was {'close': True}"):
                client.send_and_consume("websocket.connect")
            assert client.receive() is None
            with pytest.raises(AssertionError):
                client.send_and_consume("websocket.connect")
            client.send_and_consume("websocket.connect", check_accept=False)
            assert client.receive() == {"close": True}

    @override_settings(ALLOWED_HOSTS=["good.example"])
    def test_origin_checks_work(self) -> None:
        """TC-20, OB-30: an origin validator finds the header that the client was given."""
        client = WSClient()
        with apply_routes(route("websocket.connect", allowed_hosts_only(accept))):
            client.set_header("Origin", "https://good.example")
            client.send_and_consume("websocket.connect")
            client.set_header("Origin", "https://evil.example")
            with pytest.raises(DenyConnection):
                client.send_and_consume("websocket.connect")
            old_style = WSClient()
            headers = {"headers": [[b"origin", b"https://good.example"]]}
            old_style.send_and_consume("websocket.connect", headers)

    def test_only_the_first_message_has_the_session_cookie(self) -> None:
        """TC-25: a handshake carries it, what comes after does not."""
        client = WSClient()
        client.send("websocket.connect")
        assert settings.SESSION_COOKIE_NAME not in client.get_cookies()
        first = self.get_next_message("websocket.connect", require=True)
        client.send("websocket.receive")
        second = self.get_next_message("websocket.receive", require=True)
        assert [bytes(name) for name, _ in first["headers"]] == [b"cookie"]
        assert list(second["headers"]) == []


class SessionTests(ChannelTestCase):
    def test_the_session_is_that_of_the_browser(self) -> None:
        """TC-21: the client's session is what its cookie leads to, and no channel session; it is kept."""

        @channel_and_http_session
        def consumer(message: Message) -> None:
            message.channel_session["seen"] = message.http_session["set by the test"]

        client = WSClient()
        client.session["set by the test"] = 1
        client.session.save()
        assert client.session is client.session
        with apply_routes(route("websocket.connect", consumer)):
            client.send_and_consume("websocket.connect", check_accept=False)
        session = session_for_reply_channel(client.reply_channel)
        assert session["seen"] == 1
        assert session.session_key != client.session.session_key

    def test_without_sessions(self) -> None:
        """TC-19, TC-21, TC-29: without the app no cookie, no session and no login."""
        with self.modify_settings(INSTALLED_APPS={"remove": ["django.contrib.sessions"]}):
            client = WSClient()
            assert client.get_cookies() == {}
            assert client.login(username="a", password="b") is False
            with pytest.raises(EnvironmentError, match=r"django\.contrib\.sessions"):
                client.session  # noqa: B018

    def test_login(self) -> None:
        """TC-29: with the right password, for an active user; consumers know who it is."""
        user = get_user_model().objects.create_user(username="alice", password="secret")
        client = WSClient()
        before = client.session.session_key
        assert client.login(username="alice", password="wrong") is False
        assert client.login(username="alice", password="secret") is True
        assert client.session.session_key != before  # TC-21: a login cycles the key
        assert SessionStore(client.session.session_key)["_auth_user_id"] == str(user.pk)
        with apply_routes(route("websocket.connect", http_session_user(who))):
            client.send_and_consume("websocket.connect", check_accept=False)
        assert client.receive(json=False) == "alice"
        user.is_active = False
        user.save()
        backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
        with override_settings(AUTHENTICATION_BACKENDS=[backend]):
            assert WSClient().login(username="alice", password="secret") is False

    def test_force_login(self) -> None:
        """TC-29: without a password, through the first backend or the one that is named."""
        user = get_user_model().objects.create_user(username="bob")
        client = WSClient()
        client.force_login(user)
        assert client.session["_auth_user_backend"] == "django.contrib.auth.backends.ModelBackend"
        routes = [
            route("websocket.connect", channel_session_user_from_http(who)),
            route("websocket.receive", channel_session_user(who)),
        ]
        with apply_routes(routes):
            client.send_and_consume("websocket.connect", check_accept=False)
            client.send_and_consume("websocket.receive")
        assert [client.receive(json=False), client.receive(json=False)] == ["bob", "bob"]
        other = WSClient()
        other.force_login(user, backend="django.contrib.auth.backends.AllowAllUsersModelBackend")
        assert other.session["_auth_user_backend"].endswith("AllowAllUsersModelBackend")

    async def test_login_in_an_async_test(self) -> None:
        """TC-29: the twins, and an async consumer that asks who it is."""
        user = await get_user_model().objects.acreate(username="carol")
        await sync_to_async(user.set_password)("secret")
        await user.asave()
        client = WSClient()
        assert await client.alogin(username="carol", password="secret") is True
        forced = WSClient()
        await forced.aforce_login(user)

        @http_session_user
        async def awho(message: Message) -> None:
            await message.reply_channel.asend({"text": message.user.username})

        with apply_routes(route("websocket.connect", awho)):
            for each in (client, forced):
                await each.asend_and_consume("websocket.connect", check_accept=False)
                assert await each.areceive(json=False) == "carol"


def who(message: Message) -> None:
    message.reply_channel.send({"text": message.user.username})


# Names


@pytest.fixture
def unloaded() -> Iterator[None]:
    names = ("routechan_django.tests", "routechan_django.test.http")
    modules = {name: sys.modules.pop(name, None) for name in names}
    yield
    for name, module in modules.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def test_old_names_warn(unloaded: None) -> None:
    """LD-40: the old modules warn on import and give the same objects; the name ``HttpClient`` alone does not."""
    with pytest.warns(DeprecationWarning, match=r"routechan_django\.tests is deprecated; import from"):
        tests = importlib.import_module("routechan_django.tests")
    assert tests.WSClient is WSClient
    assert tests.ChannelTestCase is ChannelTestCase
    with pytest.warns(DeprecationWarning, match=r"routechan_django\.test\.http is deprecated; import WSClient"):
        http = importlib.import_module("routechan_django.test.http")
    assert http.HttpClient is HttpClient is WSClient
