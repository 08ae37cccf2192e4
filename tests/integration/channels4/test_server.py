"""Column C of the applications: real clients of a real server, on each layer."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.processes import ServerProcess

from .conftest import manage
from .sockets import fetch, open_socket, open_sockets

pytest.importorskip("channels", minversion="4.0")

LOG_IN = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
user, _ = User.objects.get_or_create(username="ann")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print("session:", session.session_key)
"""


@pytest.fixture(scope="module")
def cookie(environment: dict[str, str]) -> str:
    """The session cookie of a logged-in user."""
    manage(environment, "migrate", "--verbosity", "0")
    return "sessionid=" + manage(environment, "shell", "-c", LOG_IN).rpartition("session:")[2].strip()


async def test_row_1_status_page(server: ServerProcess, cookie: str) -> None:
    """Row 1: all connections of one client id see its status, no other does; the session's user is in the scope."""
    async with (
        open_sockets(server.port, "/ws/status/17", "/ws/status/18") as (first, other),
        open_socket(server.port, "/ws/status/17", Cookie=cookie) as second,
    ):
        await first.send({"message": "busy"})
        assert await first.json() == {"message": "busy", "user": "nobody"}
        assert await second.json() == {"message": "busy", "user": "ann"}
        await other.send({"message": "idle"})
        assert await other.json() == {"message": "idle", "user": "nobody"}
    async with open_socket(server.port, "/ws/status/17") as again:
        await again.send({"message": "alone"})
        assert await again.json() == {"message": "alone", "user": "nobody"}


async def test_row_3_echo(server: ServerProcess) -> None:
    """Row 3, first step: an echo to oneself."""
    async with open_socket(server.port, "/ws/echo/") as socket:
        await socket.send({"message": "hello"})
        assert await socket.json() == {"message": "hello"}


async def test_row_3_rooms_sync_and_async(server: ServerProcess) -> None:
    """Row 3: the sync and the async version share their rooms; several rooms at once do not mix."""
    paths = ["/ws/sync/one/", "/ws/async/one/", "/ws/sync/two/", "/ws/async/two/"]
    async with open_sockets(server.port, *paths) as sockets:
        for sender, room in ((0, 0), (1, 0), (2, 2), (3, 2)):
            await sockets[sender].send({"message": f"from {sender}"})
            for member in (room, room + 1):
                assert await sockets[member].json() == {"message": f"from {sender}"}


async def test_row_3_many_messages_in_order(server: ServerProcess) -> None:
    """A burst of one sender comes to a sync and an async member in order, nothing lost, nothing twice."""
    async with open_sockets(server.port, "/ws/async/burst/", "/ws/sync/burst/") as (sender, other):
        for number in range(100):
            await sender.send({"message": number})
        for socket in (sender, other):
            assert [(await socket.json())["message"] for _ in range(100)] == list(range(100))


async def test_row_4_chat(server: ServerProcess, cookie: str) -> None:
    """Row 4: greeting, names, bad frames answered, who is online, batches of ten."""
    async with open_socket(server.port, "/ws/chat/team/") as guest:
        assert await guest.json() == {"type": "connection_established", "message": "Welcome to team"}
        async with open_socket(server.port, "/ws/chat/team/", Cookie=cookie) as ann:
            assert (await ann.json())["type"] == "connection_established"
            for socket in (guest, ann):
                assert await socket.json() == {"type": "user_join", "username": "ann", "users": ["ann"]}
            for bad in ("{", {"message": ""}, {"message": "x" * 1001}, {"text": "?"}):
                await ann.send(bad)
                assert (await ann.json())["type"] == "error"
            await guest.send({"message": "hi"})
            await ann.send({"message": "hello"})
            for socket in (guest, ann):
                said = [await socket.json(), await socket.json()]
                assert sorted(said, key=str) == [
                    {"message": "hello", "username": "ann"},
                    {"message": "hi", "username": "Anonymous"},
                ]
            for number in range(10):
                await ann.send({"message": str(number), "later": True})
            for socket in (guest, ann):  # who leaves without reading ends a consumer in the midst of its sends
                assert [(await socket.json())["message"] for _ in range(10)] == [str(number) for number in range(10)]
        assert await guest.json() == {"type": "user_leave", "username": "ann", "users": []}


async def test_row_5_leave(server: ServerProcess) -> None:
    """Row 5: greeting, everyone of the group, and both sides close."""
    async with open_sockets(server.port, "/room/a/", "/room/a/", "/room/b/") as (one, two, other):
        assert [await socket.json() for socket in (one, two, other)] == [
            {"greeting": "You are in a"},
            {"greeting": "You are in a"},
            {"greeting": "You are in b"},
        ]
        await one.send("hello")
        assert (await one.text(), await two.text()) == ("hello", "hello")
        await two.send("leave")
        assert await two.close_code() == 4001
        await one.send("still here")
        assert await one.text() == "still here"


@pytest.mark.parametrize("function", ["/plain/mixed/", "/async/mixed/"])
async def test_one_group_of_both_kinds(server: ServerProcess, function: str) -> None:
    """Functions and class-based consumers in one group hear each other: a content has ``type`` and ``text``."""
    async with open_sockets(server.port, function, "/room/mixed/") as (plain, instance):
        await instance.json()
        await plain.send("from a function")
        assert (await plain.text(), await instance.text()) == ("from a function", "from a function")
        await instance.send("from a class")
        assert (await plain.text(), await instance.text()) == ("from a class", "from a class")


async def test_views_reach_both_kinds(server: ServerProcess) -> None:
    """A plain view sends with ``async_to_sync(get_channel_layer().group_send)`` or with ``Group``: all hear it."""
    async with open_sockets(server.port, "/plain/news/", "/room/news/") as (plain, instance):
        await instance.json()
        for way in ("channels", "routechan"):
            assert await fetch(server.port, f"/{way}/news/{way}/") == (200, "sent")
            assert (await plain.text(), await instance.text()) == (way, way)


async def test_a_channel_of_the_routing_takes_what_class_based_code_sends(server: ServerProcess) -> None:
    """``get_channel_layer().send("invoices", ...)`` runs the function routed for ``invoices``."""
    async with open_socket(server.port, "/room/accounts/") as accounts:
        await accounts.json()
        assert (await fetch(server.port, "/invoice/accounts/12/"))[0] == 200
        assert await accounts.text() == "invoice 12"


async def test_events_that_know_nothing_of_functions(server: ServerProcess) -> None:
    """A channel of the routing as a member of the group: a function turns the events of unchanged classes into text."""
    async with (
        open_socket(server.port, "/watch/lobby/") as watcher,
        open_socket(server.port, "/ws/chat/lobby/") as chat,
    ):
        await chat.json()
        await chat.send({"message": "hello", "username": "Ann"})
        assert await chat.json() == {"message": "hello", "username": "Ann"}
        assert await watcher.json() == {"event": "chat.message", "message": "hello", "username": "Ann"}
        await watcher.send("welcome")
        assert await chat.json() == {"message": "welcome", "username": "a function"}
        assert await watcher.json() == {"event": "chat.message", "message": "welcome", "username": "a function"}


async def test_an_event_without_text_does_no_harm(server: ServerProcess) -> None:
    """A function's socket has nothing to send for an event without ``text``; who sent it goes on, and so do others."""
    async with open_socket(server.port, "/plain/chat_quiet/") as plain:
        async with open_sockets(server.port, "/ws/async/quiet/", "/ws/sync/quiet/") as instances:
            for sender in instances:
                for message in ("for classes", "again"):
                    await sender.send({"message": message})
                    assert [await instance.json() for instance in instances] == [{"message": message}] * 2
        await plain.send("for functions")
        assert await plain.text() == "for functions"


async def test_another_layer(server: ServerProcess) -> None:
    """``channel_layer_alias`` and ``Group(alias=...)`` name the same layer; that of the default layer is another."""
    async with open_sockets(server.port, "/ws/alerts/", "/alerts/") as (instance, plain):
        await plain.send("fire")
        assert await instance.json() == {"alert": "fire"}
        await fetch(server.port, "/routechan/alerts/default/")  # the group of this name on the default layer
        await plain.send("over")
        assert await instance.json() == {"alert": "over"}


async def test_two_server_processes(server: ServerProcess, second_server: ServerProcess) -> None:
    """One group over two processes: sockets of both kinds here and there hear all of both kinds, in order."""
    async with (
        open_sockets(server.port, "/plain/wide/", "/room/wide/") as here,
        open_sockets(second_server.port, "/async/wide/", "/room/wide/") as there,
    ):
        for instance in (here[1], there[1]):
            await instance.json()
        for number, sender in enumerate((*here, *there)):
            for text in (f"{number} a", f"{number} b"):
                await sender.send(text)
            for socket in (*here, *there):
                assert [await socket.text(), await socket.text()] == [f"{number} a", f"{number} b"]


async def test_what_nobody_serves_is_refused(server: ServerProcess) -> None:
    """Row 5's trouble: a path that no consumer of either kind serves is a 403 and a line in the log."""
    with pytest.raises(InvalidStatus, match="403"):
        async with open_socket(server.port, "/nowhere/"):
            pass
    server.wait_until(lambda: "'/nowhere/' is refused: no route" in server.output, "it says why")
