"""Each test runs on each ASGI server, as a real process with real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import ServerProcess, free_port

APPLICATION = "tests.servers.app:app"

COMMANDS = {
    "uvicorn": ["-m", "uvicorn", APPLICATION, "--ws", "websockets-sansio", "--port", "PORT", "--log-level", "warning"],
    "daphne": ["-m", "daphne", APPLICATION, "-p", "PORT", "-v", "0"],
    "hypercorn": ["-m", "hypercorn", APPLICATION, "-b", "127.0.0.1:PORT"],
}


@pytest.fixture(scope="module", params=list(COMMANDS))
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server of each kind with the application of ``app.py``."""
    port = free_port()
    arguments = [argument.replace("PORT", str(port)) for argument in COMMANDS[request.param]]
    with ServerProcess(arguments, port) as process:
        process.kind = request.param
        yield process
