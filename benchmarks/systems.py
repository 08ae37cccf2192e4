"""Every system that is measured: how it is started, and which of its applications and paths do which work."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import channels1_venv
from asgi_servers import COMMANDS, HERE, OWN, PYTHON, UVICORN
from framing import PLAIN, Framing, socketio

APPS, PROJECTS, NODE = HERE / "apps", HERE / "projects", HERE / "node"
SHARED = PROJECTS / "shared"


class Missing(Exception):
    """A system cannot be had here; the message says why."""


@dataclass(frozen=True)
class Target:
    """What does one kind of work: a path of an application, and how its messages look."""

    path: str
    app: str = ""
    framing: Framing = PLAIN


@dataclass(frozen=True)
class System:
    """How a system is started.

    Attributes:
        name: As in the tables.
        server: The command of a server process, with ``{port}`` and ``{app}``.
        targets: By the kind of work: ``echo``, ``fanout``, ``chat``, ``http`` and ``page``.
        path: The folders its modules are found in; it runs in the first.
        worker: The command of a worker process, if it has one.
        environment: Variables of its processes.
        redis: Whether it needs Redis.
        database: Whether it needs users and sessions.
        ours: Whether it serves with this checkout.
        needs: Python modules that have to be installed.
        prepare: Makes what it needs beside, and returns what has to be known of it; or raises ``Missing``.
        known: What it may write all the same.
    """

    name: str
    server: tuple[str, ...]
    targets: Mapping[str, Target]
    path: tuple[Path, ...] = (APPS,)
    worker: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    redis: bool = False
    database: bool = False
    ours: bool = True
    needs: tuple[str, ...] = ()
    prepare: Callable[[], str] | None = None
    known: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether it is one process, which can be pinned to one CPU."""
        return self.worker is None and not self.redis

    def facts(self) -> str:
        """What has to be known of it, beside its command.

        Raises:
            Missing: If it cannot be had here.
        """
        absent = [name for name in self.needs if find_spec(name) is None]
        if absent:
            raise Missing(f"{' and '.join(absent)} not installed")
        return self.prepare() if self.prepare is not None else ""

    def command(self) -> str:
        """As text, for the results."""
        commands = [each for each in (self.server, self.worker) if each]
        told = [" ".join(Path(part).name if part.startswith("/") else part for part in each) for each in commands]
        variables = " ".join(f"{name}={value}" for name, value in self.environment.items())
        return f"{variables} {' + '.join(told)}".strip()


@cache
def node_modules() -> str:
    """The version of Node; its packages are installed where they are not."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("node and npm are not installed")
    if not (NODE / "node_modules").is_dir():
        done = subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=NODE,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Missing(f"npm install failed: {done.stderr.strip().splitlines()[-1]}")
    listed = subprocess.run([npm, "ls", "--depth=0"], cwd=NODE, capture_output=True, text=True, check=False).stdout
    packages = [word for word in listed.split() if word.startswith(("ws@", "socket.io@"))]
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return ", ".join([f"Node {version}", *packages])


@cache
def channels1() -> str:
    """What is in the environment of Channels 1.1.8, which is made where it is not there."""
    try:
        return channels1_venv.prepare()[1]
    except channels1_venv.Missing as error:
        raise Missing(str(error)) from error


def bare(server: str) -> System:
    """Applications of a few lines without any library, on an ASGI server."""
    targets = {
        "echo": Target("/", "bare_echo:app"),
        "fanout": Target("/", "bare_fanout:app"),
        "chat": Target("/{room}", "bare_chat:app"),
        "http": Target("/", "bare_http:app"),
        "page": Target("/page", "bare_http:app"),
    }
    module = "uvicorn" if server in (UVICORN, OWN) else server
    return System(f"bare, {server}", COMMANDS[server], targets, needs=(module,), ours=server == OWN)


def routes(kind: str, app: str) -> dict[str, Target]:
    """The consumers of ``routes.py``, plain (``sync``) or async."""
    paths = {
        **{"echo": "/echo/{}", "fanout": "/fanout/{}", "chat": "/chat/{}/{{room}}"},
        **{"http": "/echo/{}", "page": "/page/{}"},
    }
    return {work: Target(path.format(kind), app) for work, path in paths.items()}


KINDS = {"plain": "sync", "async": "async"}


def inline(kind: str, server: str, layer: str = "memory") -> System:
    """routechan with its consumers in the server process."""
    where = server if layer == "memory" else f"{server}, {layer.capitalize()}"
    return System(
        f"routechan {kind}, {where}",
        COMMANDS[server],
        routes(KINDS[kind], "consumers:app"),
        environment={"BENCHMARK_LAYER": layer},
        redis=layer != "memory",
    )


PROJECT = System(
    "routechan, Django",
    COMMANDS[OWN],
    {},
    path=(PROJECTS / "routechan", SHARED, APPS),
    environment={"DJANGO_SETTINGS_MODULE": "settings"},
    database=True,
)
#: What each is compared with: the same project without a decorator.
UNDECORATED = "Django, no decorator"
DECORATED = {
    UNDECORATED: "echo",
    "channel_session_user": "user",
    "channel_session_user_from_http": "from_http",
    "enforce_ordering": "ordered",
}


def decorated(kind: str, decorator: str) -> System:
    """The echo of a Django project behind a decorator, with sessions in the database."""
    path = f"/{DECORATED[decorator]}/{KINDS[kind]}"
    target = Target(path, "asgi:application")
    return replace(
        PROJECT,
        name=f"routechan {kind}, {decorator}",
        environment={**PROJECT.environment, "BENCHMARK_ROUTING": "routing.routing"},
        targets={"echo": target, "http": Target(path, target.app), "page": Target("/page", target.app)},
    )


def worked(kind: str, threads: int) -> System:
    """routechan with its consumers in one worker over Redis."""
    return replace(
        PROJECT,
        name=f"routechan {kind}, worker" + ("" if threads > 1 else ", 1 thread"),
        targets=routes(KINDS[kind], "asgi:application"),
        worker=(PYTHON, "-m", "django", "runworker", "--threads", str(threads)),
        environment={**PROJECT.environment, "BENCHMARK_LAYER": "redis", "BENCHMARK_CONSUMERS": "workers"},
        redis=True,
        database=False,
    )


def channels4(kind: str, layer: str, folder: str = "echo") -> System:
    """Channels 4 on the server of the bare application."""
    sync = KINDS[kind]
    app = "asgi:application"
    stack = folder != "echo"
    targets = {"echo": Target(f"/{folder}/{sync}", app)}
    if not stack:
        targets |= {
            "fanout": Target(f"/chat/{sync}/all", app),
            "chat": Target(f"/chat/{sync}/{{room}}", app),
            "http": Target(f"/echo/{sync}", app),
            "page": Target("/page", app),
        }
    return System(
        f"Channels 4 {sync}, " + ("AuthMiddlewareStack" if stack else LAYERS[layer]),
        COMMANDS[UVICORN],
        targets,
        path=(PROJECTS / "channels4", SHARED),
        environment={"DJANGO_SETTINGS_MODULE": "settings", "BENCHMARK_LAYER": layer},
        redis=layer != "memory",
        database=stack,
        ours=False,
        needs=("channels", *(("channels_redis",) if layer != "memory" else ())),
    )


LAYERS = {"memory": "memory", "core": "core", "pubsub": "pub/sub"}


def channels_1(threads: int) -> System:
    """Channels 1.1.8 with Daphne 1.4.2, asgi_redis and one worker."""
    python = channels1_venv.FOLDER / "bin" / "python"
    quiet = (str(python), "-W", "ignore")
    return System(
        "Channels 1.1.8" + ("" if threads > 1 else ", 1 thread"),
        (*quiet, str(python.with_name("daphne")), *("-b", "127.0.0.1", "-p", "{port}", "-v", "0", "{app}")),
        {work: Target(path, "asgi:channel_layer") for work, path in {"echo": "/echo", "fanout": "/chat/all"}.items()},
        path=(PROJECTS / "channels1",),
        worker=(*quiet, "-m", "django", "runworker", "--threads", str(threads)),
        environment={"DJANGO_SETTINGS_MODULE": "settings"},
        redis=True,
        ours=False,
        prepare=channels1,
        known=("CryptographyDeprecationWarning",),
    )


SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
SOCKETIO_TARGETS = {
    "echo": Target(SOCKETIO, "socketio_app:app", socketio("message")),
    "fanout": Target(SOCKETIO, "socketio_app:app", socketio("everybody")),
}
ONE_PATH = {"echo": "/echo", "fanout": "/chat/all", "chat": "/chat/{room}", "http": "/echo", "page": "/page"}

#: The best ``--threads`` of 1, 4, 8 and 32 for an echo of 40 sockets, on two CPUs.
THREADS, CHANNELS1_THREADS = 32, 4

_ALL = [
    *(bare(server) for server in COMMANDS),
    *(inline(kind, server) for server in (OWN, UVICORN) for kind in KINDS),
    *(inline(kind, OWN, "redis") for kind in KINDS),
    *(worked(kind, threads) for threads in (THREADS, 1) for kind in KINDS),
    *(decorated(kind, decorator) for decorator in DECORATED for kind in KINDS),
    *(channels4(kind, layer) for layer in LAYERS for kind in KINDS),
    *(channels4(kind, "memory", "user") for kind in KINDS),
    *(channels_1(threads) for threads in (CHANNELS1_THREADS, 1)),
    System(
        "Starlette, uvicorn",
        COMMANDS[UVICORN],
        {work: Target(path, "starlette_app:app") for work, path in ONE_PATH.items()},
        needs=("starlette",),
        ours=False,
    ),
    System("python-socketio, uvicorn", COMMANDS[UVICORN], SOCKETIO_TARGETS, needs=("socketio",), ours=False),
    System(
        "picows alone",
        (PYTHON, "picows_server.py", "{port}"),
        {"echo": Target("/echo"), "fanout": Target("/fanout")},
        ours=False,
    ),
    System(
        "Node, ws",
        ("node", "ws.js", "{port}"),
        {work: Target(path) for work, path in ONE_PATH.items()},
        path=(NODE,),
        ours=False,
        prepare=node_modules,
    ),
    System(
        "Node, Socket.IO",
        ("node", "socketio.js", "{port}"),
        SOCKETIO_TARGETS,
        (NODE,),
        ours=False,
        prepare=node_modules,
    ),
]
SYSTEMS = {system.name: system for system in _ALL}

BARE, BARE_OWN = f"bare, {UVICORN}", f"bare, {OWN}"
PLAIN, ASYNC = f"routechan plain, {OWN}", f"routechan async, {OWN}"
PLAIN_UVICORN, ASYNC_UVICORN = f"routechan plain, {UVICORN}", f"routechan async, {UVICORN}"
CHANNELS1 = "Channels 1.1.8"
