"""A server process without user code: ``uvicorn tests.integration.workers.server:app``. Requests ask what it holds."""

from __future__ import annotations

import os

from routechan.app import relay_application
from routechan.asgi import ServerOptions
from routechan.relay import turns
from tests.held import tell

from .layer import shared_layer

turns.FULL_PATIENCE = float(os.environ.get("FULL_PATIENCE", "10"))
app = relay_application(
    shared_layer(),
    tell,
    options=ServerOptions(secrets=["that of the tests"]),
    event_timeout=float(os.environ.get("EVENT_TIMEOUT", "60")),
)
