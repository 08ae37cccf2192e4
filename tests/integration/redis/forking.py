"""Consumers that fork, in a process of their own: ``python -W ignore -m tests.integration.redis.forking HOSTS``.

Prints for each way to fork what the client got: a JSON object.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import multiprocessing
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from routechan import Channel, Group, Message, route
from routechan.app import application, relay_application
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import RedisChannelLayer
from routechan.routing import Router
from routechan.worker.process import WorkerProcess
from tests.harness import WebSocket
from tests.unit.asgi.clients import Lifespan, Request

#: Seconds to wait for what a child sends.
PATIENCE = 20.0

FORK = multiprocessing.get_context("fork")
layer: RedisChannelLayer


def send(name: str, way: str) -> None:
    """In the child: through the group, whose members are the connection's socket and nothing else."""
    Group(f"of-{name[-8:]}", channel_layer=layer).send({"text": way})


def fork(name: str, way: str) -> None:
    FORK.Process(target=send, args=(name, way), daemon=True).start()


def os_fork(name: str, way: str) -> None:
    if os.fork() == 0:
        try:
            send(name, way)
        finally:
            os._exit(0)


def in_a_pool(name: str, way: str) -> None:
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        pool.submit(send, name, way)


def from_a_thread(name: str, way: str) -> None:
    """From one that has the consumer's context variables, and with them its outbox, while the consumer runs."""
    thread = threading.Thread(target=contextvars.copy_context().run, args=(fork, name, way))
    thread.start()
    thread.join()


def the_reply_channel(name: str, way: str) -> None:
    FORK.Process(target=Channel(name, channel_layer=layer).send, args=({"text": way},), daemon=True).start()


WAYS: dict[str, Callable[[str, str], None]] = {
    each.__name__: each for each in (fork, os_fork, in_a_pool, from_a_thread, the_reply_channel)
}


def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group(f"of-{message.reply_channel.name[-8:]}", channel_layer=layer).add(message.reply_channel)


def begin(message: Message) -> None:
    way = message["text"].split()[1]
    WAYS[way](message.reply_channel.name, message["text"])


def here(message: Message) -> None:
    send(message.reply_channel.name, message["text"])


async def abegin(message: Message) -> None:
    begin(message)


async def to_thread(message: Message) -> None:
    await asyncio.to_thread(begin, message)


def stream(message: Message) -> Iterator[dict[str, Any]]:
    begin(message)
    yield from ()


async def async_stream(message: Message) -> AsyncIterator[dict[str, Any]]:
    begin(message)
    return
    yield {}


KINDS = {"plain": begin, "async": abegin, "to_thread": to_thread, "stream": stream, "async_stream": async_stream}


def request(message: Message) -> None:
    """Answered by the child, which knows the reply channel's object, not only its name."""
    content = {"status": 200, "content": b"from the child"}
    FORK.Process(target=message.reply_channel.send, args=(content,), daemon=True).start()


async def tell(app: Any, told: dict[str, Any], where: str) -> None:
    async with WebSocket(app) as socket:
        await socket.accepted()
        # The layer's threads have connected when this comes. A fork in the midst of the imports of another thread would
        # leave its locks to the child, whoever forks.
        socket.send("here")
        assert await socket.text() == "here"
        for kind in KINDS:
            for way in WAYS:
                socket.send(f"{kind} {way}")
                try:
                    got = await asyncio.wait_for(socket.text(), PATIENCE)
                except (asyncio.TimeoutError, AssertionError):
                    got = "nothing"
                told[f"{where}: {kind} {way}"] = got == f"{kind} {way}"


async def main() -> dict[str, Any]:
    routing = [
        route("websocket.connect", connect),
        route("websocket.receive", here, text="^here$"),
        *(route("websocket.receive", consumer, text=f"^{kind} ") for kind, consumer in KINDS.items()),
        route("websocket.disconnect", lambda message: None),
        route("http.request", request),
    ]
    told: dict[str, Any] = {}
    inline = application(routing, layer=layer)
    async with Lifespan(inline):
        await tell(inline, told, "inline")
        async with Request(inline) as client:
            await client.event()
            told["inline: request"] = (await client.event())["body"] == b"from the child"
    relay = relay_application(layer)
    router = Router(routing)
    worker = WorkerProcess(Dispatcher(router), layer.sync, sorted(router.channels), threads=4)
    running = asyncio.create_task(worker.run())
    async with Lifespan(relay):
        await tell(relay, told, "worker")
    worker.stop()
    await running
    return told


if __name__ == "__main__":
    layer = RedisChannelLayer(hosts=json.loads(sys.argv[1]), prefix=secrets.token_hex(4))
    print(json.dumps(asyncio.run(main())))
