"""``python -m routechan serve``: a server that holds sockets and leaves all consumers to workers.

It loads no Django and no code of the project, so it need not be restarted when that changes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from .app import HEALTH_PATH, relay_application
from .asgi.application import Application
from .asgi.lifespan import ASGIApplication
from .asgi.options import LIMITS, ServerOptions
from .asgi.translation import Scope
from .asgi.writer import Receive, Send
from .exceptions import InvalidChannelLayerError, MissingExtra
from .inspection import with_article
from .layers.redis import RedisChannelLayer
from .relay.server import EVENT_TIMEOUT
from .telemetry.repeats import OncePerInterval, Repeats

try:
    import uvicorn
    import websockets
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from .asgi.heads import HTTPProtocol
except ImportError:  # an extra
    uvicorn = websockets = None  # type: ignore[assignment]

logger = logging.getLogger("routechan")

#: Secrets, which a command line would show to everybody on the machine. Several are separated by spaces.
REDIS_VARIABLE, KEYS_VARIABLE = "ROUTECHAN_REDIS", "ROUTECHAN_ENCRYPTION_KEYS"

#: The addresses that a proxy on this machine may have; uvicorn by itself knows the first only.
THIS_MACHINE = "127.0.0.1,::1,::ffff:127.0.0.1"

#: What stands for the address of whoever opened a Unix socket, which has none.
UNIX_PEER = ("unix:", 0)

#: Seconds that connections have to end in after SIGTERM, before they are cancelled.
GRACEFUL_TIMEOUT = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; those of the process by default.

    Returns:
        The exit code. A mistake in the arguments ends the process with code 2.
    """
    command = parser()
    options = command.parse_args(arguments)
    try:
        _check(options)
        layer = make_layer(options, os.environ)
        application = make_application(options, layer)
    except (InvalidChannelLayerError, MissingExtra, ValueError) as error:
        command.error(str(error))
    _serve(options, layer, application)
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    command = argparse.ArgumentParser(prog="python -m routechan", allow_abbrev=False)
    commands = command.add_subparsers(dest="command", required=True, metavar="serve")
    serve = commands.add_parser(
        "serve",
        help="Hold sockets, and hand their events to workers.",
        description="Holds sockets and hands their events to workers on the same Redis. Loads no code of a project.",
        epilog=f"Environment: {REDIS_VARIABLE}, URLs of Redis; {KEYS_VARIABLE}, the symmetric_encryption_keys of the "
        "layer. Several are separated by spaces.",
        allow_abbrev=False,
    )
    add = serve.add_argument
    add(
        "--allow-origin",
        action="append",
        metavar="HOST",
        help="Host whose pages may open sockets (example.com, .example.com, https://example.com:8443), or * for all; "
        "repeat for more. Has to be given.",
    )
    add("--redis", action="append", metavar="URL", help="Where Redis is; repeat for shards.")
    add("--prefix", help="Prefix of the keys in Redis, as the workers have it.")
    add(
        "--layer-config",
        type=Path,
        metavar="FILE",
        help="JSON file with the CONFIG of the workers' layer: hosts, prefix, expiry, capacity, ...",
    )
    add("--host", help="Address to serve on (default: 127.0.0.1).")
    add("--port", type=_number, help="Port to serve on (default: 8000).")
    add("--uds", metavar="PATH", help="Unix socket to serve on, instead of host and port.")
    add("--root-path", default="", help="Path below which a proxy serves this.")
    add(
        "--forwarded-allow-ips",
        metavar="IPS",
        help="Proxies whose X-Forwarded-For and -Proto are believed, with commas, or *; default: this machine's. Who "
        "opens the Unix socket is believed in any case.",
    )
    add("--subprotocol", action="append", metavar="NAME", help="Subprotocol that is supported; repeat for more.")
    add("--http", action="store_true", help="Hand HTTP requests to workers too; else they get a 404.")
    add(
        "--event-timeout",
        type=_seconds,
        default=EVENT_TIMEOUT,
        metavar="SECONDS",
        help="How long an event may take, with its wait for a worker (default: %(default)g).",
    )
    add(
        "--handshake-timeout",
        type=_seconds,
        default=ServerOptions.handshake_timeout,
        metavar="SECONDS",
        help="How long until a socket is accepted or refused (default: %(default)g).",
    )
    add(
        "--limit",
        action="append",
        type=_limit,
        default=[],
        metavar="NAME=VALUE",
        help=f"A limit, such as address_sockets=20, handshake_rate=10/s or frame_bytes=none; repeat for more: "
        f"{', '.join(LIMITS)}.",
    )
    add(
        "--graceful-timeout",
        type=_number,
        default=GRACEFUL_TIMEOUT,
        metavar="SECONDS",
        help="How long connections may take to end after SIGTERM (default: %(default)d).",
    )
    add("--health-path", default=HEALTH_PATH, metavar="PATH", help="Where it says how it is (default: %(default)s).")
    add(
        "--metrics-path",
        metavar="PATH",
        help="Where its metrics are, such as /metrics (default: nowhere).",
    )
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="Default: %(default)s.")
    add("--access-log", action="store_true", help="Log each request and socket.")
    return command


def make_layer(options: argparse.Namespace, environment: Mapping[str, str]) -> RedisChannelLayer:
    """The layer that the workers have.

    Args:
        options: of the command line.
        environment: the environment variables.

    Raises:
        InvalidChannelLayerError: an option is wrong, or given in two places.
    """
    config = {} if options.layer_config is None else _read(options.layer_config)
    given = {
        "hosts": {"--redis": options.redis, REDIS_VARIABLE: environment.get(REDIS_VARIABLE, "").split()},
        "prefix": {"--prefix": options.prefix},
        "symmetric_encryption_keys": {KEYS_VARIABLE: environment.get(KEYS_VARIABLE, "").split()},
    }
    for name, sources in given.items():
        said = {source: value for source, value in sources.items() if value}
        if name in config:
            said[f"{name!r} in {options.layer_config}"] = config[name]
        if len(said) > 1:
            raise InvalidChannelLayerError(f"{' and '.join(said)} say the same in different places; keep one of them")
        for value in said.values():
            config[name] = value
    return RedisChannelLayer(**config)


def make_application(options: argparse.Namespace, layer: RedisChannelLayer) -> Application:
    """The relaying server.

    Args:
        options: of the command line.
        layer: the workers' layer.

    Raises:
        ValueError: no ``--allow-origin`` was given.
    """
    if not options.allow_origin:
        raise ValueError(
            "browsers let any page open a socket here and send the user's cookies along, so say which may: "
            "--allow-origin example.com, the host of your pages, repeated for more, or --allow-origin '*' for all"
        )
    return relay_application(
        layer,
        options=ServerOptions(
            allowed_origins=options.allow_origin,
            subprotocols=options.subprotocol or (),
            handshake_timeout=options.handshake_timeout,
            **dict(options.limit),
            health_path=options.health_path or None,
            metrics_path=options.metrics_path or None,
            root_path=options.root_path,  # not uvicorn's option, which writes it before paths that have it already
        ),
        relay_http=options.http,
        event_timeout=options.event_timeout,
    )


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


def _check(options: argparse.Namespace) -> None:
    if uvicorn is None or websockets is None:  # uvicorn alone serves no sockets, and bounds no heads
        raise MissingExtra("serve needs the packages uvicorn, httptools and websockets", "server")
    if options.uds is not None and (options.host is not None or options.port is not None):
        raise ValueError("--uds is served instead of --host and --port; give one or the other")


def _serve(options: argparse.Namespace, layer: RedisChannelLayer, application: Application) -> None:
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not options.access_log and options.log_level != "debug":
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # where it logs each socket, too
    logging.getLogger("uvicorn.error").addFilter(OncePerInterval(Repeats()))
    host, port = options.host or "127.0.0.1", 8000 if options.port is None else options.port
    picows = find_spec("picows") is not None
    logger.info(
        "Serving on %s; events go to workers on %s; frames are read by %s",
        options.uds or f"{host}:{port}",
        layer,
        "picows" if picows else "websockets (pip install 'routechan[fast]' for a faster one)",
    )
    # It raises a signal again when it has ended because of it: to be told to end, and to have done so, is a success.
    signal.signal(signal.SIGTERM, _leave)
    uvicorn.run(
        behind_socket(application, options.forwarded_allow_ips) if options.uds else application,
        host=host,
        port=port,
        uds=options.uds,
        http=HTTPProtocol,
        ws=f"routechan.{'server' if picows else 'asgi.aborting'}:WebSocketProtocol",
        # ``frame_bytes`` counts text in characters, which have up to four bytes.
        ws_max_size=sys.maxsize if application.options.frame_bytes is None else 4 * application.options.frame_bytes,
        lifespan="on",
        proxy_headers=not options.uds,
        forwarded_allow_ips=_proxies(options.forwarded_allow_ips),
        timeout_graceful_shutdown=options.graceful_timeout,
        access_log=options.access_log,
        log_config=None,
    )
    logger.info("Ended")


def _leave(number: int, frame: object) -> NoReturn:
    logger.info("Ended")
    sys.exit(0)


def _read(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidChannelLayerError(f"--layer-config {file} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise InvalidChannelLayerError(
            f"--layer-config {file} has {with_article(type(config).__name__)}; expected what CONFIG has, "
            'such as {"prefix": "chat"}'
        )
    return config


def _limit(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if name not in LIMITS:
        raise argparse.ArgumentTypeError(f"{name!r} is no limit; expected {', '.join(LIMITS)}")
    if value == "none":
        return name, None
    if name.endswith("_rate"):
        return name, value
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has no number above 0, and not none")
    return name, int(value)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return number
