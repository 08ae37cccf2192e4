"""A worker without Django, started by the tests: ``python -m tests.unit.worker.plain CONFIG [options]``."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator

from routechan import route
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import RedisChannelLayer
from routechan.message import Message
from routechan.routing import Router
from routechan.worker import WorkerProcess, run
from routechan.worker.health import Health
from routechan.worker.supervisor import ParentLink, Supervisor


def answer(message: Message) -> None:
    """The number, and who ran it."""
    message.reply_channel.send({"number": message["number"], "pid": os.getpid()})


def slow(message: Message) -> None:
    message.reply_channel.send({"began": True, "pid": os.getpid()}, immediately=True)
    time.sleep(message["seconds"])
    message.reply_channel.send({"ended": True})


async def aslow(message: Message) -> None:
    await message.reply_channel.asend({"began": True, "pid": os.getpid()}, immediately=True)
    await asyncio.sleep(message["seconds"])
    await message.reply_channel.asend({"ended": True})


async def blocking(message: Message) -> None:
    """Holds up the event loop."""
    await message.reply_channel.asend({"began": True, "pid": os.getpid()}, immediately=True)
    await asyncio.sleep(0.05)
    time.sleep(message["seconds"])


async def lasting_thread(message: Message) -> None:
    """Waits for a thread that Python waits for at its end."""
    await message.reply_channel.asend({"began": True, "pid": os.getpid()}, immediately=True)
    await asyncio.to_thread(time.sleep, message["seconds"])


async def stream(message: Message) -> AsyncIterator[dict[str, int]]:
    for number in range(1_000_000):
        yield {"number": number}
        await asyncio.sleep(0.05)


ROUTES = [
    route("answer", answer),
    route("slow", slow),
    route("aslow", aslow),
    route("blocking", blocking),
    route("lasting_thread", lasting_thread),
    route("stream", stream),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=json.loads)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--drain", type=float, default=10)
    parser.add_argument("--health", type=int)
    parser.add_argument("--code", help="a file that is read at the start, and must not say: broken")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parent = ParentLink.take()
    if options.processes > 1 and parent is None:
        command = [sys.executable, "-m", "tests.unit.worker.plain", *sys.argv[1:]]
        sys.exit(Supervisor(command, options.processes, drain=options.drain).run())
    if options.code is not None:
        with open(options.code) as file:
            if "broken" in file.read():
                sys.exit("the code is broken")
    router = Router(ROUTES)
    layer = RedisChannelLayer(**options.config)
    process = WorkerProcess(
        Dispatcher(router),
        layer.sync,
        router.channels,
        threads=options.threads,
        drain=options.drain,
        ready=parent and parent.ready,
    )
    health = None
    if options.health is not None:
        health = Health(
            process,
            "127.0.0.1",
            options.health + (parent.number - 1 if parent else 0),
            metrics=lambda: (b"figures 1\n", "text/plain; version=0.0.4"),
        )
    run(process, health=health, parent=parent)
    print("returned", flush=True)


if __name__ == "__main__":
    main()
