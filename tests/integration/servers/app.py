"""The application the real servers serve in these tests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from routechan import DenyConnection, Group, Message, WebsocketCloseException, application, route
from routechan.asgi import ServerOptions
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, channel_layers
from tests.held import held as what_is_held


def echo(message: Message) -> None:
    """Sends back what came, text or bytes."""
    key = "text" if "text" in message else "bytes"
    message.reply_channel.send({key: message[key]})


async def aecho(message: Message) -> None:
    echo(message)


def tell(message: Message, **kwargs: str) -> None:
    """Answers with what the consumer was given."""
    message.reply_channel.send(
        {
            "text": json.dumps(
                {
                    "channel": message.channel.name,
                    "path": message["path"],
                    "order": message["order"],
                    "query": message.get("query_string", b"").decode(),
                    "headers": [[name.decode(), value.decode()] for name, value in message.get("headers", [])],
                    "client": message.get("client"),
                    "scheme": message.get("scheme"),
                    "kwargs": kwargs,
                }
            )
        }
    )


def deny(message: Message) -> None:
    raise DenyConnection


def ignore(message: Message) -> None:
    """Never accepts."""


def refuse_by_reply(message: Message) -> None:
    message.reply_channel.send({"accept": False})


def close(message: Message) -> None:
    """Closes with the code in the text, 1000 without one."""
    message.reply_channel.send({"close": int(message["text"]) if message["text"] else True})


def close_by_exception(message: Message) -> None:
    raise WebsocketCloseException(int(message["text"]))


def greet_and_close(message: Message) -> None:
    message.reply_channel.send({"text": "goodbye", "close": 4002})


def watch(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("watchers").add(message.reply_channel)


def watched_disconnect(message: Message) -> None:
    Group("watchers").send({"text": json.dumps({"code": message["code"], "order": message["order"]})})


def stream(message: Message) -> Iterator[dict[str, Any]]:
    yield {"accept": True}
    number = 0
    while True:
        yield {"text": str(number)}
        number += 1
        time.sleep(0.01)  # what a consumer does between two steps


async def astream(message: Message) -> AsyncIterator[dict[str, Any]]:
    yield {"accept": True}
    number = 0
    while True:
        yield {"text": str(number)}
        number += 1
        await asyncio.sleep(0.01)


def join(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(f"room-{room}").add(message.reply_channel)


def say(message: Message, room: str) -> None:
    if message["text"].startswith("close"):
        code = message["text"][5:]
        Group(f"room-{room}").send({"text": "goodbye", "close": int(code) if code else True})
        return
    Group(f"room-{room}").send({"text": message["text"]})


def join_kept(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    recovered = [Group(f"kept-{room}-{name}").add(message.reply_channel) for name in ("a", "b")]
    message.reply_channel.send({"text": json.dumps(recovered)})


def say_kept(message: Message, room: str) -> None:
    """Sends the text to both groups: the client that is away gets it later."""
    for name in ("a", "b"):
        Group(f"kept-{room}-{name}").send({"text": f"{name}: {message['text']}"})


def tick(message: Message, room: str) -> None:
    """Sends so many prices of two subjects, each of 100 kB, and says when it has."""
    for number in range(int(message["text"])):
        subject = "btc" if number % 2 else "eth"
        Group(f"room-{room}").send({"text": f"{subject} {number:06}".ljust(100_000)}, latest=subject)
    Group(f"room-{room}").send({"text": "done"})


def ask(message: Message) -> None:
    """Answers a question; asks what another message says, and sends what is answered."""
    if "question_number" in message:
        message.answer({"text": message["text"].upper()})
    else:
        message.reply_channel.send({"text": str(message.reply_channel.ask({"text": message["text"]}))})


async def aask(message: Message) -> None:
    if "question_number" in message:
        ask(message)
    else:
        message.reply_channel.send({"text": str(await message.reply_channel.aask({"text": message["text"]}))})


def fail(message: Message) -> None:
    if message["text"] == "fail":
        raise LookupError("on purpose")
    message.reply_channel.send({"text": message["text"]})


async def held(message: Message) -> None:
    """Answers with what the server process holds."""
    message.reply_channel.send({"text": json.dumps(what_is_held())})


def answer_http(message: Message) -> None:
    message.reply_channel.send(
        {
            "status": 201,
            "headers": [[b"content-type", b"text/plain"]],
            "content": message["method"].encode() + b" " + message["body"],
        }
    )


channel_routing = [
    route("websocket.receive", echo, path=r"^/echo/$"),
    route("websocket.receive", aecho, path=r"^/aecho/$"),
    route(["websocket.connect", "websocket.receive"], tell, path=r"^/tell/(?P<what>[^/]+)/$"),
    route("websocket.connect", deny, path=r"^/deny/$"),
    route("websocket.connect", ignore, path=r"^/ignore/$"),
    route("websocket.connect", refuse_by_reply, path=r"^/refuse/$"),
    route("websocket.receive", close, path=r"^/close/$"),
    route("websocket.receive", close_by_exception, path=r"^/raise/$"),
    route("websocket.connect", greet_and_close, path=r"^/goodbye/$"),
    route("websocket.connect", watch, path=r"^/watch/$"),
    route("websocket.disconnect", watched_disconnect, path=r"^/(?:watched|close|raise|deny|room/watched\w*)/$"),
    route("websocket.receive", echo, path=r"^/watched/$"),
    route("websocket.connect", stream, path=r"^/stream/$"),
    route("websocket.connect", astream, path=r"^/astream/$"),
    route("websocket.receive", echo, path=r"^/a?stream/$"),
    route("websocket.connect", join, path=r"^/room/(?P<room>\w+)/$"),
    route("websocket.receive", say, path=r"^/room/(?P<room>\w+)/$"),
    route("websocket.connect", join, path=r"^/lobby/(?P<room>\w+)/$"),
    route("websocket.receive", echo, path=r"^/lobby/\w+/$"),
    route("websocket.connect", join_kept, path=r"^/kept/(?P<room>\w+)/$"),
    route("websocket.receive", say_kept, path=r"^/kept/(?P<room>\w+)/$"),
    route("websocket.receive", say_kept, path=r"^/say/(?P<room>\w+)/$"),
    route("websocket.connect", join, path=r"^/prices/(?P<room>\w+)/$"),
    route("websocket.receive", tick, path=r"^/prices/(?P<room>\w+)/$"),
    route("websocket.receive", ask, path=r"^/ask/$"),
    route("websocket.receive", aask, path=r"^/aask/$"),
    route("websocket.receive", fail, path=r"^/fail/$"),
    route("websocket.receive", held, path=r"^/held/$"),
    route("http.request", answer_http, path=r"^/http/$"),
]

channel_layers.set(DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer(history={"kept-*": {"size": 5, "seconds": 60}}).sync)

app = application(
    channel_routing,
    options=ServerOptions(subprotocols=["json", "xml"], handshake_timeout=1.0, socket_capacity=200),
)
