"""A relaying server on uvicorn, in one process or in several."""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import signal
import socket
import stat
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, NoReturn

from ..asgi.application import Application
from ..asgi.lifespan import ASGIApplication
from ..asgi.translation import Scope
from ..asgi.writer import Receive, Send
from ..exceptions import MissingExtra
from ..layers.redis import RedisChannelLayer
from ..telemetry.repeats import OncePerInterval, Repeats
from ..worker.supervisor import HURRY, ParentLink, Supervisor

try:
    import uvicorn
    import websockets
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from ..asgi.heads import HTTPProtocol
except ImportError:  # an extra
    uvicorn = websockets = None  # type: ignore[assignment]

logger = logging.getLogger("routechan")

#: The addresses that a proxy on this machine may have; uvicorn by itself knows the first only.
THIS_MACHINE = "127.0.0.1,::1,::ffff:127.0.0.1"

#: What stands for the address of whoever opened a Unix socket, which has none.
UNIX_PEER = ("unix:", 0)

#: Connections that may wait to be accepted, as uvicorn has it.
BACKLOG = 2048

#: The exit status of a server that could not start, as uvicorn has it.
NOT_STARTED = 3


def check(options: argparse.Namespace, parent: ParentLink | None) -> None:
    """See whether it can be served as ``options`` say.

    Args:
        options: of the command line.
        parent: the link to the supervisor, where there is one: each of its processes gets its command line, and --fd.

    Raises:
        MissingExtra: a package is missing.
        ValueError: two options contradict each other.
    """
    if uvicorn is None or websockets is None:  # uvicorn alone serves no sockets, and bounds no heads
        raise MissingExtra("serve needs the packages uvicorn, httptools and websockets", "server")
    given = {"--fd": options.fd, "--uds": options.uds, "--host": options.host, "--port": options.port}
    places = [option for option, value in given.items() if value is not None]
    if len(places) > 1 and places != ["--host", "--port"] and parent is None:
        raise ValueError(f"{' and '.join(places)} say different places to serve on; give --fd, --uds, or host and port")
    if options.drain and not _has_picows():
        raise MissingExtra("--drain needs the package picows", "fast")


def _has_picows() -> bool:
    return find_spec("picows") is not None


def _address(options: argparse.Namespace) -> tuple[str, int]:
    return options.host or "127.0.0.1", 8000 if options.port is None else options.port


def _place(options: argparse.Namespace) -> str:
    """Where is served, for the log."""
    if options.uds is not None:
        return str(options.uds)
    host, port = _address(options)
    return f"{host}:{port}" if options.fd is None else f"descriptor {options.fd}"


def _log_start(options: argparse.Namespace, layer: RedisChannelLayer) -> None:
    logger.info(
        "Serving on %s; events go to workers on %s; frames are read by %s",
        _place(options),
        layer,
        "picows" if _has_picows() else "websockets (pip install 'routechan[fast]' for a faster one)",
    )


def serve_several(options: argparse.Namespace, layer: RedisChannelLayer, arguments: Sequence[str]) -> int:
    """Serve in several processes, which accept from one socket that listens.

    Args:
        options: of the command line.
        layer: of the application, for the log.
        arguments: the command line itself, which each process gets.

    Returns:
        The exit status.
    """
    try:
        listener = _listener(options)
    except OSError as error:
        logger.error("There is no serving on %s: %s", _place(options), error.strerror or error)
        return 1
    _log_start(options, layer)
    try:
        return Supervisor(
            [sys.executable, "-m", "routechan", *arguments, "--fd", str(listener.fileno())],
            options.processes,
            drain=options.drain + options.graceful_timeout,
            kind="server",
            files=[listener.fileno()],
        ).run()
    finally:
        listener.close()
        if options.uds is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(options.uds)


def _listener(options: argparse.Namespace) -> socket.socket:
    """The socket that several processes accept from, bound."""
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    if options.uds is None:
        host, port = _address(options)
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
        )
    if os.path.exists(options.uds) and stat.S_ISSOCK(os.stat(options.uds).st_mode):
        os.unlink(options.uds)  # of a server that did not end in order
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(options.uds)
    os.chmod(options.uds, 0o666)  # as uvicorn does: a proxy is another user
    listener.listen(BACKLOG)
    return listener


def serve(
    options: argparse.Namespace, layer: RedisChannelLayer, application: Application, parent: ParentLink | None
) -> None:
    """Serve in this process, until a signal or the parent ends it.

    Args:
        options: of the command line.
        layer: of the application, for the log.
        application: what is served.
        parent: the link to the supervisor, where there is one.
    """
    if not options.access_log and options.log_level != "debug":
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # where it logs each socket, too
    logging.getLogger("uvicorn.error").addFilter(OncePerInterval(Repeats()))
    host, port = _address(options)
    listener = None if options.fd is None else socket.socket(fileno=options.fd)
    on_unix = options.uds is not None or (listener is not None and listener.family == socket.AF_UNIX)
    if parent is None:
        _log_start(options, layer)
    # It raises a signal again when it has ended because of it: to be told to end, and to have done so, is a success.
    signal.signal(signal.SIGTERM, _leave)

    async def serves() -> None:
        if parent is not None:
            parent.ready()

    server = uvicorn.Server(
        uvicorn.Config(
            behind_socket(application, options.forwarded_allow_ips) if on_unix else application,
            host=host,
            port=port,
            uds=options.uds,
            http=HTTPProtocol,
            ws=_protocol(options.drain),
            # ``frame_bytes`` counts text in characters, which have up to four bytes.
            ws_max_size=sys.maxsize if application.options.frame_bytes is None else 4 * application.options.frame_bytes,
            lifespan="on",
            proxy_headers=not on_unix,
            forwarded_allow_ips=_proxies(options.forwarded_allow_ips),
            timeout_graceful_shutdown=options.graceful_timeout + math.ceil(options.drain),
            access_log=options.access_log,
            log_config=None,
            callback_notify=serves,  # called when it serves, and again after ``timeout_notify``
            timeout_notify=86400,
        )
    )
    if parent is not None:
        # Whoever ends a service, or types Ctrl-C, signals the children as well: a second signal does not mean hurry.
        server.handle_exit = partial(_stop, server)  # type: ignore[method-assign]
        parent.listen(partial(_take_order, server))
    server.run(sockets=None if listener is None else [listener])
    if not server.started:
        sys.exit(NOT_STARTED)
    logger.info("Ended")


def _protocol(drain: float) -> Any:
    """What uvicorn reads sockets with."""
    if not _has_picows():
        return "routechan.asgi.aborting:WebSocketProtocol"
    from ..server import WebSocketProtocol  # noqa: PLC0415  # it needs picows

    class Protocol(WebSocketProtocol):
        drain_time = drain

    return Protocol


def _stop(server: uvicorn.Server, sig: int, frame: Any) -> None:
    server.should_exit = True


def _take_order(server: uvicorn.Server, order: bytes) -> None:
    """Do what the supervisor says; called on a thread."""
    server.force_exit = server.force_exit or order == HURRY
    os.kill(os.getpid(), signal.SIGTERM)  # as if it came from outside: the application listens to signals too


def _leave(number: int, frame: object) -> NoReturn:
    logger.info("Ended")
    sys.exit(0)


def behind_socket(application: ASGIApplication, forwarded_allow_ips: str | None) -> ASGIApplication:
    """``application`` behind a Unix socket: the forwarded headers of whoever may open the socket are believed.

    uvicorn believes addresses, and a Unix socket has none. With ``*`` it would take the client from the beginning of
    ``X-Forwarded-For``, which clients may write themselves; here it is the last one that no proxy is known for.

    Args:
        application: The application.
        forwarded_allow_ips: Further proxies, behind the one that opens the socket.
    """
    ips = _proxies(forwarded_allow_ips)

    async def without_peer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("client") == UNIX_PEER:
            scope["client"] = None
        await application(scope, receive, send)

    middleware: Any = ProxyHeadersMiddleware
    trusting = middleware(without_peer, "*" if ips == "*" else [UNIX_PEER[0], *ips.split(",")])

    async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and not scope.get("client"):
            scope["client"] = UNIX_PEER
        await trusting(scope, receive, send)

    return with_peer


def _proxies(given: str | None) -> str:
    return given or os.environ.get("FORWARDED_ALLOW_IPS") or THIS_MACHINE
