"""Consumers that workers of the tests and of ``scripts/soak`` run."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from routechan import Channel, Group, Message, route

#: Seconds that ``slow`` consumers take at most.
LONGEST = 0.01


def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("everyone").add(message.reply_channel)


def disconnect(message: Message) -> None:
    Group("everyone").discard(message.reply_channel)


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


async def aecho(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def slow_echo(message: Message) -> None:
    time.sleep(random.uniform(0, LONGEST))
    message.reply_channel.send({"text": message["text"]})


async def slow_aecho(message: Message) -> None:
    await asyncio.sleep(random.uniform(0, LONGEST))
    message.reply_channel.send({"text": message["text"]})


def ticking(message: Message) -> Iterator[dict[str, Any]]:
    """Streams to its socket, and writes to the file ``TICKS`` while it does."""
    while True:
        with open(os.environ["TICKS"], "a") as ticks:
            ticks.write(".")
        yield {"text": "tick"}
        time.sleep(0.05)


async def aticking(message: Message) -> AsyncIterator[dict[str, Any]]:
    for step in ticking(message):
        yield step
        await asyncio.sleep(0.01)


def hold(message: Message) -> None:
    """Holds its worker's only thread."""
    time.sleep(3600)


async def block(message: Message) -> None:
    """What an async consumer must not do: it holds up the event loop, and all that is to run there."""
    time.sleep(2.0)
    message.reply_channel.send({"text": message["text"]})


async def ask(message: Message) -> None:
    """Answers with the process; asks what another message says, and sends the answer and the process."""
    if "question_number" in message:
        message.answer({"text": str(os.getpid())})
    else:
        answer = await message.reply_channel.aask({"text": message["text"]})
        message.reply_channel.send({"text": f"{answer['text']} to {os.getpid()}"})


def ask_another(message: Message) -> None:
    """Asks the socket whose reply channel the message names, and sends the answer to the own one."""
    name = message["text"].partition(" ")[2] or None
    if name is None:
        message.reply_channel.send({"text": message.reply_channel.name})
        return
    message.reply_channel.send({"text": str(Channel(name).ask({"text": "from another"}))})


def work(message: Message) -> None:
    Group("everyone").send({"text": f"{message['text']} by {os.getpid()}"})


def ask_for_work(message: Message) -> None:
    """``<n>`` goes to ``work`` at once, ``later <n>`` a little later."""
    later = message["text"].startswith("later")
    Channel("work").send({"text": message["text"]}, delay=0.2 if later else 0)


def tell_left(message: Message) -> None:
    Group("everyone").send({"text": f"left with {message['code']}"})


def tell(message: Message) -> None:
    Group("everyone").send({"text": message["text"]})


def join(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    recovered = [Group(f"kept-{room}-{name}").add(message.reply_channel) for name in ("a", "b")]
    message.reply_channel.send({"text": json.dumps(recovered)})


async def join_another(message: Message, room: str) -> None:
    recovered = await Group(f"kept-{room}-{message['text']}").aadd(message.reply_channel)
    message.reply_channel.send({"text": json.dumps(recovered)})


def join_by_name(message: Message, room: str) -> None:
    Group(f"kept-{room}-c").add(message.reply_channel.name)
    message.reply_channel.send({"text": "done"})


def say(message: Message, room: str) -> None:
    for name in ("a", "b", "c"):
        Group(f"kept-{room}-{name}").send({"text": f"{name}: {message['text']}"})


channel_routing = [
    route("websocket.connect", join, path=r"^/kept/(?P<room>\w+)/$"),
    route("websocket.receive", join_another, path=r"^/kept/(?P<room>\w+)/$", text="^[abc]$"),
    route("websocket.receive", join_by_name, path=r"^/kept/(?P<room>\w+)/$", text="^name$"),
    route("websocket.receive", say, path=r"^/kept/(?P<room>\w+)/$"),
    route("websocket.disconnect", tell_left, path="^/tell/$"),
    route("websocket.receive", tell, path="^/tell/$"),
    route("websocket.connect", connect),
    route("websocket.disconnect", disconnect),
    route("websocket.receive", aecho, path="^/aecho/$"),
    # A socket's messages in turn on threads and on the event loop.
    route("websocket.receive", slow_echo, path="^/slow/$", text="[02468]$"),
    route("websocket.receive", slow_aecho, path="^/slow/$"),
    route("websocket.receive", ticking, path="^/ticks/$"),
    route("websocket.receive", aticking, path="^/aticks/$"),
    route("websocket.receive", block, path="^/block/$"),
    route("websocket.receive", hold, path="^/hold/$"),
    route("websocket.receive", ask_for_work, path="^/work/$"),
    route("websocket.receive", ask, path="^/ask/$"),
    route("websocket.receive", ask_another, path="^/another/$"),
    route("websocket.receive", echo),
    route("work", work),
]
