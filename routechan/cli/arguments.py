"""The command line of ``python -m routechan``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..app import HEALTH_PATH
from ..asgi.options import LIMITS, ServerOptions
from ..monitor import terminal
from ..relay.server import EVENT_TIMEOUT
from ..upgrade import command as upgrade

#: Secrets, which a command line would show to everybody on the machine. Several are separated by spaces.
REDIS_VARIABLE, KEYS_VARIABLE = "ROUTECHAN_REDIS", "ROUTECHAN_ENCRYPTION_KEYS"
SECRETS_VARIABLE = "ROUTECHAN_SECRETS"

EPILOG = (
    f"Environment: {REDIS_VARIABLE}, URLs of Redis; {KEYS_VARIABLE}, the symmetric_encryption_keys of the layer. "
    "Several are separated by spaces."
)

#: Seconds that connections have to end in after SIGTERM, before they are cancelled.
GRACEFUL_TIMEOUT = 30


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    command = argparse.ArgumentParser(prog="python -m routechan", allow_abbrev=False)
    commands = command.add_subparsers(dest="command", required=True, metavar="serve | send | listen | upgrade")
    upgrading = commands.add_parser(
        "upgrade", help="Rewrite a code base of Channels 1.x.", description=upgrade.DESCRIPTION, allow_abbrev=False
    )
    upgrade.add_arguments(upgrading)
    by_hand = argparse.ArgumentParser(add_help=False)
    _add_layer(by_hand)
    send = commands.add_parser(
        "send",
        parents=[by_hand],
        help="Send one message to a channel or a group.",
        epilog=EPILOG,
        allow_abbrev=False,
    )
    terminal.add_send_arguments(send)
    listen = commands.add_parser(
        "listen", parents=[by_hand], help="Print what is sent to a group.", epilog=EPILOG, allow_abbrev=False
    )
    terminal.add_listen_arguments(listen)
    serve = commands.add_parser(
        "serve",
        help="Hold sockets, and hand their events to workers.",
        description="Holds sockets and hands their events to workers on the same Redis. Loads no code of a project.",
        epilog=EPILOG,
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
    _add_layer(serve)
    add("--host", help="Address to serve on (default: 127.0.0.1).")
    add("--port", type=_number, help="Port to serve on (default: 8000).")
    add("--uds", metavar="PATH", help="Unix socket to serve on, instead of host and port.")
    add(
        "--fd",
        type=_number,
        metavar="NUMBER",
        help="Descriptor of a socket that listens already, instead of host and port.",
    )
    add(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help="Server processes that share the address; one for each processor that sockets may use (default: 1). "
        "SIGHUP replaces them one by one.",
    )
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
    add(
        "--drain",
        type=_duration,
        default=0.0,
        metavar="SECONDS",
        help="After SIGTERM, close sockets spread over so long, so that their clients do not all come back at once "
        "(default: %(default)g; needs picows).",
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


def _add_layer(command: argparse.ArgumentParser) -> None:
    """Declare the options that say which layer it is."""
    add = command.add_argument
    add("--redis", action="append", metavar="URL", help="Where Redis is; repeat for shards.")
    add("--prefix", help="Prefix of the keys in Redis, as the workers have it.")
    add(
        "--layer-config",
        type=Path,
        metavar="FILE",
        help="JSON file with the CONFIG of the workers' layer: hosts, prefix, expiry, capacity, ...",
    )


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


def _duration(text: str) -> float:
    return 0.0 if text == "0" else _seconds(text)


def _count(text: str) -> int:
    count = _number(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return count


def _number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return number
