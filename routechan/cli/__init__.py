"""``python -m routechan``: the commands ``serve``, ``send``, ``listen`` and ``upgrade``.

``serve`` is a server that holds sockets and leaves all consumers to workers. It loads no Django and no code of the
project, so it need not be restarted when that changes. ``send`` and ``listen`` are messages by hand. ``upgrade``
rewrites a code base of Channels 1.x.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..app import relay_application
from ..asgi.application import Application
from ..asgi.options import ServerOptions
from ..exceptions import InvalidChannelLayerError, MissingExtra
from ..inspection import with_article
from ..layers.redis import RedisChannelLayer
from ..monitor import terminal
from ..upgrade import command as upgrade
from ..worker.supervisor import ParentLink
from .arguments import KEYS_VARIABLE, REDIS_VARIABLE, SECRETS_VARIABLE, parser
from .serving import check, serve, serve_several


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; those of the process by default.

    Returns:
        The exit code. A mistake in the arguments ends the process with code 2.
    """
    command = parser()
    parent = ParentLink.take()
    options = command.parse_args(arguments)
    try:
        if options.command == "upgrade":
            return upgrade.run(options, sys.stdout)
        if options.command in ("send", "listen"):
            return _by_hand(options, make_layer(options, os.environ))
        check(options, parent)
        layer = make_layer(options, os.environ)
        application = make_application(options, layer, os.environ)
    except (InvalidChannelLayerError, MissingExtra, ValueError) as error:
        command.error(str(error))
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if options.processes > 1 and parent is None:
        return serve_several(options, layer, sys.argv[1:] if arguments is None else arguments)
    serve(options, layer, application, parent)
    return 0


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


def make_application(
    options: argparse.Namespace, layer: RedisChannelLayer, environment: Mapping[str, str]
) -> Application:
    """The relaying server.

    Args:
        options: of the command line.
        layer: the workers' layer.
        environment: the environment variables.

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
            drain_time=options.drain,
            health_path=options.health_path or None,
            metrics_path=options.metrics_path or None,
            secrets=tuple(environment.get(SECRETS_VARIABLE, "").split()),
            root_path=options.root_path,  # not uvicorn's option, which writes it before paths that have it already
        ),
        relay_http=options.http,
        event_timeout=options.event_timeout,
    )


def _by_hand(options: argparse.Namespace, layer: RedisChannelLayer) -> int:
    """Run ``send`` or ``listen``; the exit code."""
    try:
        if options.command == "send":
            terminal.send(layer, vars(options), sys.stdout, sys.stderr)
        else:
            terminal.listen(layer, options.group, sys.stdout, sys.stderr)
    except terminal.REFUSALS as error:
        print(error if options.command == "listen" else f"Nothing was sent: {error}", file=sys.stderr)
        return 1
    finally:
        layer.close()
    return 0


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
