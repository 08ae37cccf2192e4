"""What consumers do with a socket: accept, refuse, close, read its headers, its sessions and its user."""

import json

from channels.exceptions import DenyConnection
from channels.message import Message
from channels.sessions import session_for_reply_channel
from channels.test import ChannelTestCase, WSClient
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore


class Opening(ChannelTestCase):
    def test_accept(self):
        """``WSClient`` insists that the first reply is exactly ``{"accept": True}``, and takes it."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/sessions/")
        self.assertIsNone(client.receive())

    def test_accept_false(self):
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/refuse/", check_accept=False)
        self.assertEqual(client.receive(), {"accept": False})

    def test_a_text_opens_too(self):
        """No accept, a text: the check of the client must be told."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/speaks-first/", check_accept=False)
        self.assertEqual(client.receive(json=False), "welcome")
        with self.assertRaises(AssertionError):
            WSClient().send_and_consume("websocket.connect", path="/speaks-first/")

    def test_deny(self):
        with self.assertRaises(DenyConnection):
            WSClient().send_and_consume("websocket.connect", path="/deny/")

    def test_close(self):
        """``close`` as True and as a code, beside a text."""
        client = WSClient()
        client.send_and_consume("websocket.receive", text="plain", path="/close/")
        self.assertEqual(self.get_next_message(client.reply_channel).content, {"text": "bye", "close": True})
        client.send_and_consume("websocket.receive", text="code", path="/close/")
        self.assertEqual(self.get_next_message(client.reply_channel).content, {"text": "bye", "close": 4001})

    def test_class_closes(self):
        client = WSClient()
        client.send_and_consume("websocket.receive", text="stop", path="/echo/")
        self.assertEqual(client.receive(json=False), "stop")
        self.assertEqual(client.receive(), {"close": True})

    def test_bytes(self):
        client = WSClient()
        client.send_and_consume("websocket.receive", {"bytes": b"abc"}, path="/binary/")
        self.assertEqual(self.get_next_message(client.reply_channel, require=True)["bytes"], b"cba")
        client.send_and_consume("websocket.receive", {"bytes": b"abc"}, path="/echo/")
        self.assertEqual(self.get_next_message(client.reply_channel, require=True)["bytes"], b"abc")

    def test_headers_and_query_string(self):
        client = WSClient()
        content = {"headers": [[b"User-Agent", b"tests"]], "query_string": "token=7"}
        client.send_and_consume("websocket.connect", content, path="/headers/", check_accept=False)
        self.assertEqual(client.receive(json=False), "tests token=7")

    def test_the_faked_request(self):
        """``message.content["method"] = "FAKE"`` and ``AsgiRequest(message)``."""
        client = WSClient()
        client.set_cookie("taste", "sweet")
        client.send_and_consume("websocket.connect", path="/faked/?token=7", check_accept=False)
        self.assertEqual(client.receive()[:2], ["FAKE", "7"])
        client = WSClient()
        client.set_cookie("taste", "sweet")
        client.send_and_consume("websocket.connect", path="/faked/", check_accept=False)
        self.assertEqual(client.receive()[2]["taste"], "sweet")


class Sessions(ChannelTestCase):
    def test_channel_session(self):
        """A list in the session, written by assigning its key."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/sessions/")
        client.send_and_consume("websocket.receive", text="one", path="/sessions/")
        self.assertEqual(client.receive(), ["one"])
        client.send_and_consume("websocket.receive", text="two", path="/sessions/")
        self.assertEqual(client.receive(), ["one", "two"])

    def test_session_for_reply_channel(self):
        """From outside, by the name of the reply channel."""
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/sessions/")
        self.assertEqual(session_for_reply_channel(client.reply_channel)["frames"], [])

    def test_http_session(self):
        """``message.http_session`` by the cookie."""
        client = WSClient()
        client.session["cart"] = ["tea"]
        client.session.save()
        client.send_and_consume("websocket.connect", path="/http-session/", check_accept=False)
        self.assertEqual(client.receive(), ["tea"])

    def test_http_session_by_parameter(self):
        """With ``SESSION_KEY_IN_QUERY``, for a client without the cookie."""
        client = WSClient()
        client._session_cookie = False
        client.send_and_consume(
            "websocket.connect", path="/http-session/?session_key=%s" % cart("milk"), check_accept=False
        )
        self.assertEqual(client.receive(), ["milk"])

    def test_both_sessions(self):
        """The HTTP session is there on frames, which carry no cookie."""
        client = WSClient()
        client.session["cart"] = ["tea"]
        client.session.save()
        client.send_and_consume("websocket.connect", path="/both/")
        client.send_and_consume("websocket.receive", text="x", path="/both/")
        self.assertEqual(client.receive(), [True, ["tea"]])

    def test_ordering(self):
        """``enforce_ordering``: a frame that comes too early waits for the one before."""
        client = WSClient(ordered=True)
        client.send_and_consume("websocket.connect", path="/counted/")
        client.order = 2
        client.send_and_consume("websocket.receive", text="x", path="/counted/")
        self.assertIsNone(client.receive())
        client.order = 1
        client.send_and_consume("websocket.receive", text="x", path="/counted/")
        self.assertEqual(client.receive(), 1)
        client.consume("websocket.receive")
        self.assertEqual(client.receive(), 2)

    def test_strict_ordering_class(self):
        """``strict_ordering`` of a class, set by ``as_route``."""
        client = WSClient(ordered=True)
        client.send_and_consume("websocket.connect", path="/ordered/")
        client.order = 2
        client.send_and_consume("websocket.receive", text={"line": 2}, path="/ordered/")
        self.assertIsNone(client.receive())
        client.order = 1
        client.send_and_consume("websocket.receive", text={"line": 1}, path="/ordered/")
        self.assertEqual(client.receive(), {"line": 1})
        client.consume("websocket.receive")
        self.assertEqual(client.receive(), {"line": 2})


class Users(ChannelTestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("ann", password="secret")

    def test_login(self):
        """``client.login`` with credentials; the user reaches frames through the channel session."""
        client = WSClient()
        self.assertFalse(client.login(username="ann", password="wrong"))
        self.assertTrue(client.login(username="ann", password="secret"))
        client.send_and_consume("websocket.connect", path="/rooms/lobby/")
        self.assertEqual(client.receive(json=False), "ann joined")

    def test_force_login_class(self):
        """``http_user_and_session``: user and HTTP session on every message."""
        client = WSClient()
        client.force_login(self.user)
        client.session["cart"] = ["tea"]
        client.session.save()
        client.send_and_consume("websocket.connect", path="/profile/")
        client.send_and_consume("websocket.receive", text={"who": "me"}, path="/profile/")
        self.assertEqual(client.receive(), {"user": "ann", "cart": ["tea"]})

    def test_http_user_class(self):
        """``http_user`` with groups by path; who is not logged in is turned away."""
        client = WSClient()
        client.force_login(self.user)
        client.send_and_consume("websocket.connect", path="/feed/news/")
        client.consume("websocket.receive", fail_on_none=False)
        stranger = WSClient()
        stranger.send_and_consume("websocket.connect", path="/feed/news/", check_accept=False)
        self.assertEqual(stranger.receive(), {"close": True})

    def test_http_session_user(self):
        client = WSClient()
        client.force_login(self.user)
        client.send_and_consume("websocket.connect", path="/http-user/", check_accept=False)
        self.assertEqual(client.receive(json=False), "ann")
        stranger = WSClient()
        stranger.send_and_consume("websocket.connect", path="/http-user/", check_accept=False)
        self.assertEqual(stranger.receive(json=False), "anonymous")

    def test_both_sessions_user(self):
        client = WSClient()
        client.force_login(self.user)
        client.send_and_consume("websocket.connect", path="/both-users/", check_accept=False)
        self.assertEqual(client.receive(json=False), "ann")

    def test_reply_channel_name(self):
        """``message.reply_channel.name``."""
        message = Message({"reply_channel": "a!b"}, "websocket.connect", None)
        self.assertEqual((message.reply_channel.name, json.dumps(str(message.reply_channel))), ("a!b", '"a!b"'))


def cart(*things):
    session = SessionStore()
    session["cart"] = list(things)
    session.save()
    return session.session_key
