"""How the servers of these tests are started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.processes import ServerProcess, free_port

#: The command line of each kind of server, after ``python -m``.
COMMANDS = {
    "uvicorn": "uvicorn {app} --ws websockets-sansio --port {port} --log-level warning",
    "routechan": "uvicorn {app} --ws routechan.server:WebSocketProtocol --port {port} --log-level warning",
    "daphne": "daphne {app} -p {port} -v 0",
    "hypercorn": "hypercorn {app} -b 127.0.0.1:{port}",
    "gunicorn": "gunicorn {app} -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} --log-level warning",
    "granian": "granian {app} --interface asgi --host 127.0.0.1 --port {port} --log-level warning",
}


@contextmanager
def serving(
    kind: str, module: str, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server of this kind with the application ``app`` of a module of this folder."""
    port = free_port()
    command = COMMANDS[kind].format(app=f"tests.integration.servers.{module}:app", port=port)
    with ServerProcess(["-m", *command.split(), *arguments], port, environment=environment) as server:
        server.kind = kind
        yield server
