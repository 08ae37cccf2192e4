"""What is served while servers are told to stop: each disconnect consumer writes a line into the file ``LOG``.

What the library logs goes into the file ``LOG.library``. With ``REDIS`` the consumers run in workers:
``python -m tests.integration.servers.shutdown_app`` is one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

from routechan import Message, application, route
from routechan.app import relay_application
from routechan.consumers.dispatch import Dispatcher
from routechan.layers import RedisChannelLayer
from routechan.routing import Router
from routechan.worker.process import WorkerProcess


def connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def receive(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def disconnect(message: Message) -> None:
    time.sleep(0.5)  # a server that did not wait would be gone
    with open(os.environ["LOG"], "a") as log:
        log.write(f"{message['reply_channel']} {message['code']}\n")


routing = [
    route("websocket.connect", connect),
    route("websocket.receive", receive),
    route("websocket.disconnect", disconnect),
]


def layer() -> RedisChannelLayer:
    return RedisChannelLayer(hosts=[os.environ["REDIS"]], prefix=os.environ["REDIS_PREFIX"])


async def work() -> None:
    router = Router(routing)
    worker = WorkerProcess(
        Dispatcher(router), layer().sync, router.channels, threads=64, ready=lambda: print("working", flush=True)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()


logging.getLogger("routechan").addHandler(logging.FileHandler(os.environ["LOG"] + ".library", delay=True))

app = relay_application(layer()) if "REDIS" in os.environ else application(routing, threads=64)

if __name__ == "__main__":
    asyncio.run(work())
