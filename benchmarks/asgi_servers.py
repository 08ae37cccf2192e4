"""How each ASGI server is started: one process, ``{app}`` on ``{port}`` of ``{host}``, without compression and log."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable


def uvicorn(protocol: str) -> tuple[str, ...]:
    """Its fastest form, with what reads the sockets."""
    return (
        *(PYTHON, "-m", "uvicorn", "--host", "{host}", "--port", "{port}"),
        *("--ws", protocol, "--ws-per-message-deflate", "false"),
        *("--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--no-use-colors", "--log-level", "warning", "{app}"),
    )


#: The server that all others are compared with, and our own.
UVICORN, OWN = "uvicorn", "own server"

COMMANDS: dict[str, tuple[str, ...]] = {
    UVICORN: uvicorn("websockets-sansio"),
    OWN: uvicorn("routechan.server:WebSocketProtocol"),
    "granian": (
        *(PYTHON, "-m", "granian", "--interface", "asgi", "--host", "{host}", "--port", "{port}"),
        *("--workers", "1", "--loop", "uvloop", "--log-level", "warning", "{app}"),
    ),
    "gunicorn": (
        *(PYTHON, "-m", "gunicorn", "--worker-class", "asgi", "--asgi-loop", "uvloop", "--workers", "1"),
        *("--bind", "{host}:{port}", "--backlog", "2048", "--worker-connections", "20000"),
        *("--log-level", "warning", "{app}"),
    ),
    "daphne": (PYTHON, "-m", "daphne", "-b", "{host}", "-p", "{port}", "-v", "0", "{app}"),
    "hypercorn": (
        *(PYTHON, "-m", "hypercorn", "--bind", "{host}:{port}", "--worker-class", "uvloop", "--workers", "1"),
        *("--log-level", "warning", "{app}"),
    ),
}
