"""Messages, channels and groups, and the consumers that routes take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from typing_extensions import assert_type

from routechan import (
    Channel,
    ChannelSocketException,
    Consumer,
    DenyConnection,
    Group,
    Message,
    WebsocketCloseException,
    application,
    include,
    limit,
    route,
)


def plain(message: Message, room: str) -> None:
    assert_type(message.reply_channel, Channel)
    message.reply_channel.send({"text": room + message["text"]}, immediately=True, delay=1.5)
    message.reply_channel.sent({})  # type: ignore[attr-defined]
    Group("chat-" + room, alias="default").add(message.reply_channel)
    assert_type(Group("chat").channels(), list[str])
    assert_type(Group("chat").count(), int)
    assert_type(message.channel.name, str)
    assert_type(message.copy(), Message)
    assert_type(message.get("text", ""), Any)

    message.reply_channel.send({"text": room}, latest="room")
    Group("chat").send({"text": room}, latest="room", exclude=message.reply_channel)
    message.answer({"text": room}, immediately=True)
    assert_type(message.reply_channel.ask({"text": room}, timeout=5), dict[str, Any])
    message.reply_channel.ask("text")  # type: ignore[arg-type]


async def asking(message: Message) -> None:
    answer = await message.reply_channel.aask({"text": "sure?"}, 2.5)
    assert_type(answer, dict[str, Any])
    await message.aanswer(answer)


async def coroutine(message: Message, *, room: str = "lobby") -> None:
    await message.reply_channel.asend({"text": room})
    await Group("chat").aadd(message.reply_channel)
    await Group("chat").adiscard(message.reply_channel.name)
    assert_type(await Group("chat").achannels(), list[str])
    assert_type(await Group("chat").acount(), int)


def stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {"text": str(message["text"])}


async def async_stream(message: Message, **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
    yield {"text": "a"}


def may_have_no_reply_channel(message: Message) -> None:
    """Of a channel of one's own."""
    if message.get("reply_channel"):
        message.reply_channel.send({"text": "done"})


def by_path(message: Message) -> str:
    return str(message["path"])


@limit("5/s", by=by_path, refused={"close": 4008})
async def limited(message: Message, room: str) -> None: ...


class Shouter:
    def __call__(self, message: Message, room: str) -> None: ...

    async def method(self, message: Message) -> None: ...


class OfOneMessage:
    def __init__(self, message: Message, room: str) -> None: ...


class Scold(ChannelSocketException):
    def run(self, message: Message) -> None:
        message.reply_channel.send({"text": "please do not"})


def raises(message: Message) -> None:
    if "text" not in message:
        raise DenyConnection()
    raise Scold() if message["text"] else WebsocketCloseException(4000)


consumers: list[Consumer] = [plain, coroutine, stream, async_stream, limited, Shouter(), Shouter().method, raises]

channel_routing = [
    *(route("websocket.receive", consumer) for consumer in consumers),
    route("websocket.connect", "project.consumers.ws_connect", path=r"^/(?P<room>\w+)$", method="GET"),
    route(["audit", "audit.late"], may_have_no_reply_channel),
    route("websocket.connect", OfOneMessage),
    route("websocket.connect", lambda message: message.reply_channel.send({"accept": True})),
    route("websocket.connect", 5),  # type: ignore[arg-type]
    include("project.routing.channel_routing", path=r"^/ws"),
]

app = application([include(channel_routing, path=r"^/chat"), *channel_routing])
