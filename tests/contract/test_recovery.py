"""Clients that come back to sockets of this layer are given what they missed, or told that they can't be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import routechan
from routechan import DenyConnection, Group, Message, route
from routechan.app import relay_application
from routechan.asgi import ServerOptions
from routechan.layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer, channel_layers

from ..harness import WebSocket
from ..unit.asgi.clients import Lifespan
from ..unit.relay.helpers import working
from .conftest import Backend

HISTORY = {"chat-*": {"size": 5, "seconds": 300}}


@pytest.fixture
def layer(backend: Backend) -> BaseChannelLayer:
    return backend.make(history=HISTORY)


class Site:
    """An application whose connect consumers join the groups in the path. Lifetime: test."""

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.layer = layer
        self.application: Any = None
        self.results: list[bool | None] = []
        self.routing = [
            route("websocket.connect", self.deny, path="^/deny/(?P<names>.*)$"),
            route("websocket.connect", self.ajoin, path="^/async/(?P<names>.*)$"),
            route("websocket.connect", self.join, path="^/(?P<names>.*)$"),
            route("websocket.receive", self.receive),
            route("websocket.disconnect", lambda message: None),
        ]

    def group(self, name: str) -> Group:
        return Group(name, channel_layer=self.layer)

    def join(self, message: Message, names: str) -> None:
        self.results = [self.group(name).add(message.reply_channel) for name in names.split(",") if name]
        message.reply_channel.send({"accept": True})

    async def ajoin(self, message: Message, names: str) -> None:
        self.results = [await self.group(name).aadd(message.reply_channel) for name in names.split(",")]
        message.reply_channel.send({"accept": True})

    def deny(self, message: Message, names: str) -> None:
        self.results = [self.group(name).add(message.reply_channel) for name in names.split(",")]
        raise DenyConnection

    def receive(self, message: Message) -> None:
        """``{"add": names, ...}`` with the arguments of ``add``, ``{"discard": name}`` or ``{"name": name}``."""
        told = json.loads(message["text"])
        if "discard" in told:
            self.group(told["discard"]).discard(message.reply_channel)
        elif "name" in told:  # by name nobody looks at what the client has
            self.results = [self.group(told["name"]).add(message.reply_channel.name)]
        else:
            names = told.pop("add")
            self.results = [self.group(name).add(message.reply_channel, **told) for name in names]
        message.reply_channel.send({"text": "done"})

    async def send(self, group: str, *texts: str) -> None:
        for text in texts:
            await self.layer.group_send(group, {"text": text})

    def client(self, path: str, id: str | None = None) -> Client:
        return Client(self.application, path, id)


class Client(WebSocket):
    """One that speaks ``routechan.v1``, and keeps its last id."""

    def __init__(self, application: Any, path: str, id: str | None) -> None:
        offers = ["routechan.v1"] if id is None else ["routechan.v1", f"routechan.v1.since.{id}"]
        super().__init__(application, path, [(b"host", b"testserver")], subprotocols=offers)
        self.id = id

    async def __aenter__(self) -> Client:
        await super().__aenter__()
        return self

    async def hears(self) -> str:
        """The next message or word; ``done`` is what answers the frame sent last."""
        event = await self.event()
        if event["type"] != "websocket.send":
            return str(event["type"])
        line, _, body = event["text"].partition("\n")
        word, _, id = line.rpartition(" ")
        if line:
            self.id = id or line
        return word or body

    async def frames(self, count: int) -> list[str]:
        return [await self.hears() for _ in range(count)]

    async def tells(self, **told: Any) -> None:
        self.send("\n" + json.dumps(told))


@pytest.fixture(params=["inline", "workers"])
async def site(request: pytest.FixtureRequest, layer: BaseChannelLayer) -> AsyncIterator[Site]:
    made = Site(layer)
    async with serving(made, request.param):
        yield made


@asynccontextmanager
async def serving(site: Site, kind: str) -> AsyncIterator[None]:
    options = ServerOptions(secrets=["the secret"], allowed_origins=["*"])
    if kind == "inline":
        with channel_layers.override(DEFAULT_CHANNEL_LAYER, site.layer.sync):  # which ``application`` makes it
            site.application = routechan.application(site.routing, site.layer, options=options)
            async with Lifespan(site.application):
                yield
    else:
        async with working(site.layer.sync, *site.routing):
            site.application = relay_application(site.layer, options=options)
            async with Lifespan(site.application):
                yield


@pytest.mark.parametrize("path", ["/chat-1,chat-2,other", "/async/chat-1,chat-2,other"])
async def test_what_was_missed(site: Site, path: str) -> None:
    """All of it comes, of each group in order, and one line behind it; what is newer comes behind that."""
    async with site.client(path) as client:
        assert await client.frames(2) == ["websocket.accept", "!joined"]
        assert site.results == [None] * 3
        await site.send("chat-1", "one")
        assert await client.frames(1) == ["one"]
    await site.send("chat-1", "two", "three")
    await site.send("chat-2", "four")
    async with site.client(path, client.id) as back:
        assert await back.frames(5) == ["websocket.accept", "two", "three", "four", "!recovered"]
        assert site.results == [True, True, None]
        await site.send("chat-2", "five")
        assert await back.frames(1) == ["five"]
    async with site.client(path, back.id) as again:
        assert await again.frames(2) == ["websocket.accept", "!recovered"]
        assert site.results == [True, True, None]


async def test_cut_off_in_the_midst(site: Site) -> None:
    """Each message says where the client is with it, in all groups: it comes back from any of them."""
    async with site.client("/chat-1,chat-2") as client:
        await client.frames(2)
    await site.send("chat-1", "one", "two")
    await site.send("chat-2", "three")
    expected = ["one", "two", "three", "!recovered"]
    for missed in range(4):
        async with site.client("/chat-1,chat-2", client.id) as back:
            assert await back.frames(5 - missed) == ["websocket.accept", *expected[missed:]]
        async with site.client("/chat-1,chat-2", client.id) as part:
            await part.frames(2)
        client.id = part.id


async def test_more_than_is_kept(site: Site) -> None:
    """The gap is told in the place of what is lost, before anything newer; another group gives what it can."""
    async with site.client("/chat-1,chat-2") as client:
        await client.frames(2)
    await site.send("chat-1", *"123456")
    await site.send("chat-2", "kept")
    async with site.client("/chat-1,chat-2", client.id) as back:
        assert await back.frames(3) == ["websocket.accept", "!gap", "kept"]
        assert site.results == [False, True]
        await site.send("chat-1", "newer")
        assert await back.frames(1) == ["newer"]
    async with site.client("/chat-1,chat-2", back.id) as again:
        assert await again.frames(2) == ["websocket.accept", "!recovered"]


async def test_an_id_that_nobody_can_read(site: Site) -> None:
    """Each group with a history is a gap, also one that a later event adds; the others are not."""
    async with site.client("/chat-1,other", "made-up") as client:
        assert await client.frames(2) == ["websocket.accept", "!gap"]
        assert site.results == [False, None]
        await client.tells(add=["chat-2"])
        assert sorted(await client.frames(2)) == ["!gap", "done"]
        assert site.results == [False]


async def test_events_that_join_groups(site: Site) -> None:
    """One line for each event; what was left of the connect event's is used once, and a member is not told again."""
    async with site.client("/") as client:
        await client.frames(1)
        await client.tells(add=["chat-1", "chat-2"])
        assert await client.frames(2) == ["done", "!joined"]
    await site.send("chat-1", "missed")
    async with site.client("/", client.id) as back:
        assert await back.frames(1) == ["websocket.accept"]
        await back.tells(add=["chat-1", "chat-2"])
        assert sorted(await back.frames(3)) == ["!recovered", "done", "missed"]
        assert site.results == [True, True]
        await back.tells(add=["chat-1", "chat-2"])
        assert await back.frames(1) == ["done"]
        assert site.results == [None, None]
        await back.tells(discard="chat-1")
        await back.frames(1)
        await back.tells(add=["chat-3"])
        assert await back.frames(2) == ["done", "!joined"]
    await site.send("chat-1", "sent while it was no member")
    async with site.client("/chat-1,chat-2", back.id) as again:
        assert await again.frames(2) == ["websocket.accept", "!recovered"]
        assert site.results == [None, True]


async def test_what_the_consumer_says_itself(site: Site) -> None:
    """``since`` of the consumer counts; ``last`` is for clients that do not come back, or not in time."""
    await site.send("chat-1", "one", "two")
    first = (await site.layer.group_history("chat-1"))[0].position
    async with site.client("/") as client:
        await client.frames(1)
        await client.tells(add=["chat-1"], last=1)
        assert sorted(await client.frames(3)) == ["!joined", "done", "two"]
    await site.send("chat-1", "three")
    for told, heard in (({"last": 2}, ["three"]), ({"since": first}, ["three", "two"])):
        async with site.client("/", client.id) as back:
            await back.frames(1)
            await back.tells(add=["chat-1"], **told)
            assert sorted(await back.frames(2 + len(heard))) == ["!recovered", "done", *heard]


async def test_a_claim_that_no_consumer_looked_at(site: Site) -> None:
    """A socket that is added by its name misses what was sent before, so its client is told of a gap."""
    async with site.client("/chat-1") as client:
        await client.frames(2)
    await site.send("chat-1", "missed")
    async with site.client("/", client.id) as back:
        await back.frames(1)
        await back.tells(name="chat-1")
        assert sorted(await back.frames(2)) == ["!gap", "done"]
        assert site.results == [None]


async def test_a_socket_that_is_refused(site: Site) -> None:
    """What was missed does not open it."""
    async with site.client("/chat-1") as client:
        await client.frames(2)
    await site.send("chat-1", "missed")
    async with site.client("/deny/chat-1", client.id) as back:
        assert await back.hears() == "websocket.close"
        assert site.results == [True]
