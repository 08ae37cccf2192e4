"""What idle sockets hold: connections, descriptors, rows and memory. ``scripts/idle``.

For each kind of consumer a server with sockets that have each used the ORM, the cache, their session and a language
once; beside it one whose sockets did nothing. Then they idle, all at the same time.

A generator is a stream that sleeps, as long as its socket is open: a plain one holds a thread, and saves its session at
its end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from tests.redis_servers import SingleServer
from tests.redis_servers.process import server_port
from tests.waiting import wait_until

KINDS = ("nothing", "plain", "async", "generator", "async-generator", "class")

#: How many kilobytes more a socket may hold than one that did nothing; with a plain generator, which has a thread.
KILOBYTES, THREAD_KILOBYTES = 20, 150

#: The project, in one module, which uvicorn serves.
SITE = """
import asyncio, os, time
from django.conf import settings
HERE = os.path.dirname(os.path.abspath(__file__))
NUMBER = int(os.environ["IDLE_NUMBER"])
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], USE_TZ=True, ROOT_URLCONF=__name__,
    INSTALLED_APPS=[f"django.contrib.{app}" for app in ("contenttypes", "auth", "sessions")] + ["routechan_django"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{HERE}/{NUMBER}.sqlite3",
                           "OPTIONS": {"timeout": 60}}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache",
                        "LOCATION": f"{os.environ['IDLE_REDIS']}/{NUMBER}"}},
    CHANNEL_LAYERS={"default": {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": "site_.routing"}},
    ROUTECHAN={"STREAM_THREADS": 1000},  # a thread for each plain generator
)
urlpatterns = []
import django
django.setup()
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.utils import timezone, translation
from routechan import route, route_class
from routechan_django.generic.websockets import WebsocketConsumer
from routechan_django.sessions import channel_session
call_command("migrate", verbosity=0)

def use(message):
    translation.activate("de")
    timezone.activate("Europe/Berlin")
    cache.set("k", get_user_model().objects.count())
    message.channel_session["n"] = 1
    return {"text": "used"}

@channel_session
def plain(message): message.reply_channel.send(use(message))

@channel_session
async def an_async(message):
    await cache.aget("k")
    await message.reply_channel.asend(await sync_to_async(use)(message))

@channel_session
def generator(message):
    yield use(message)
    time.sleep(1e6)

@channel_session
async def async_generator(message):
    yield await sync_to_async(use)(message)
    await asyncio.sleep(1e6)

class Class(WebsocketConsumer):
    channel_session = True
    def receive(self, text=None, bytes=None, **kwargs): self.message.reply_channel.send(use(self.message))

kinds = {"plain": plain, "async": an_async, "generator": generator, "async-generator": async_generator}
def accept(message): message.reply_channel.send({"accept": True})
routing = [route_class(Class, path="^/class$"), route("websocket.connect", accept)]
routing += [route("websocket.receive", consumer, path=f"^/{kind}$") for kind, consumer in kinds.items()]
from routechan_django.asgi import get_asgi_application
application = get_asgi_application()
"""


class Figures(NamedTuple):
    """What a server holds."""

    database: int
    cache: int
    descriptors: int
    threads: int
    rows: int
    megabytes: float


class Server:
    """A server with sockets of one kind. Lifetime: the run."""

    def __init__(self, number: int, kind: str, folder: Path, redis: SingleServer) -> None:
        self.kind = kind
        self.number = number
        self.port = server_port()
        self.sockets: list[ClientConnection] = []
        self._database = folder / f"{number}.sqlite3"
        self._redis = redis
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--port", str(self.port), "--log-level", "warning", "site_:application"],
            cwd=folder,
            env={**os.environ, "IDLE_NUMBER": str(number), "IDLE_REDIS": f"redis://127.0.0.1:{redis.port}"},
        )

    async def open(self, count: int) -> None:
        """Open the sockets, which use everything once.

        Where they do nothing, one of each kind has come and gone, so that what is loaded once is there too.
        """
        if self.kind == "nothing":
            for kind in KINDS[1:]:
                await (await self._open(kind)).close()
        for _ in range(count):
            self.sockets.append(await self._open(self.kind))

    async def _open(self, kind: str) -> ClientConnection:
        opened = await connect(f"ws://127.0.0.1:{self.port}/{kind}", ping_interval=None, open_timeout=60)
        if kind != "nothing":
            await opened.send("x")
            answer = await asyncio.wait_for(opened.recv(), 60)
            if answer != "used":
                raise RuntimeError(f"{kind} answered {answer!r}")
        return opened

    def figures(self) -> Figures:
        process = Path("/proc") / str(self.process.pid)
        links = [os.readlink(link) for link in (process / "fd").iterdir() if link.is_symlink()]
        with Redis.from_url(f"redis://127.0.0.1:{self._redis.port}") as redis:
            clients = [client for client in redis.client_list() if client["db"] == str(self.number)]
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return Figures(
            sum(link.startswith(str(self._database)) for link in links),
            len(clients),
            len(links),
            int(status["Threads"]),
            self._count("select count(*) from django_session"),
            round(int(status["VmRSS"].split()[0]) / 1024, 1),
        )

    def lasting_rows(self) -> int:
        """How many sessions are stored for longer than that of a stream which its connection's end cut off."""
        return self._count("select count(*) from django_session where expire_date > datetime('now', '+61 minutes')")

    def _count(self, query: str) -> int:
        with contextlib.closing(sqlite3.connect(self._database, timeout=20)) as database:
            (rows,) = database.execute(query).fetchone()
        return int(rows)


def table(servers: list[Server], title: str) -> list[Figures]:
    found = [server.figures() for server in servers]
    print(f"\n{title}\n{'':16}" + "".join(f"{name:>13}" for name in Figures._fields), flush=True)
    for server, figures in zip(servers, found, strict=True):
        print(f"{server.kind:16}" + "".join(f"{value:>13}" for value in figures), flush=True)
    return found


async def run(count: int, seconds: float, folder: Path, redis: SingleServer) -> list[str]:
    (folder / "site_.py").write_text(textwrap.dedent(SITE))
    servers = [Server(number, kind, folder, redis) for number, kind in enumerate(KINDS, start=1)]
    try:
        for server in servers:
            wait_until(lambda server=server: _answers(server.port), f"the server of {server.kind}", 60)
            await server.open(count)
        table(servers, f"{count} sockets each, when the last has been used")
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:  # read, so that pings are answered
            await asyncio.sleep(min(60.0, max(0.0, ends - time.monotonic())))
        nothing, *others = table(servers, f"{seconds:.0f} s later")
        lost = [server.kind for server in servers if any(each.close_code is not None for each in server.sockets)]
        for server in servers:
            await asyncio.gather(*(each.close() for each in server.sockets))
        wait_until(lambda: not any(server.lasting_rows() for server in servers), "the end of all sessions", 60)
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()
    trouble = [f"sockets of {kind} were closed" for kind in lost]
    for kind, figures in zip(KINDS[1:], others, strict=True):
        if figures.database > nothing.database or figures.cache > 8:
            trouble.append(f"{kind}: {figures.database} connections to the database, {figures.cache} to the cache")
        if figures.descriptors > nothing.descriptors + 20:
            trouble.append(f"{kind}: {figures.descriptors} descriptors, {nothing.descriptors} where nothing was done")
        if figures.rows > count:
            trouble.append(f"{kind}: {figures.rows} sessions of {count} sockets")
        kilobytes = THREAD_KILOBYTES if kind == "generator" else KILOBYTES
        if figures.megabytes > nothing.megabytes + 1 + count * kilobytes / 1024:
            trouble.append(f"{kind}: {figures.megabytes} MB, {nothing.megabytes} where nothing was done")
    return trouble


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=600.0, help="how long they idle")
    parser.add_argument("--sockets", type=int, default=200, help="of each kind")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, SingleServer() as redis:
        trouble = asyncio.run(run(options.sockets, options.seconds, Path(folder), redis))
    for line in trouble:
        print(line)
    sys.exit(bool(trouble))


if __name__ == "__main__":
    main()
