"""What consumers raise reaches the log, whatever ``LOGGING`` says of loggers that are there already."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import ROOT

#: A site that starts from its ``asgi.py``: this library is imported before Django reads ``LOGGING``.
SITE = """
import asyncio, sys
from django.conf import settings
import routechan.consumers.failures
import routechan_django.asgi
from routechan import route

def fail(message):
    raise LookupError(message["text"])

LOGGING = {"version": 1, %s}
settings.configure(
    ALLOWED_HOSTS=["*"], INSTALLED_APPS=["routechan_django"], LOGGING=LOGGING,
    CHANNEL_LAYERS={"default": {
        "BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": [route("websocket.receive", fail)],
    }},
)
routechan.consumers.failures.INTERVAL = 0.0
application = routechan_django.asgi.get_asgi_application()

async def raised(text):
    events = asyncio.Queue()
    for event in ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": text},
                  {"type": "websocket.disconnect", "code": 1000}):
        events.put_nowait(event)
    async def send(event):
        pass
    await application({"type": "websocket", "path": "/", "headers": []}, events.get, send)

async def main():
    await raised("at first")
    import django
    django.setup()
    await raised("after another setup")

asyncio.run(main())
"""

HANDLERS = """"formatters": {"plain": {"format": "ROOT %(name)s %(message)s"}},
"handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
"""


@pytest.mark.parametrize(
    ("logging", "lines"),
    [
        (HANDLERS + '"root": {"handlers": ["console"], "level": "WARNING"}', 2),
        (HANDLERS + '"loggers": {"routechan": {"handlers": ["console"]}}', 2),
        (HANDLERS + '"root": {"handlers": ["console"]}, "disable_existing_loggers": False', 2),
        (HANDLERS + '"root": {"handlers": ["console"]}, "loggers": {"routechan": {"level": "CRITICAL"}}', 0),
    ],
    ids=["not named", "named", "not disabled", "not wanted"],
)
def test_errors_of_consumers(logging: str, lines: int) -> None:
    """Also where existing loggers are disabled, which is the default; what ``LOGGING`` says of ours holds."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", SITE % logging], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert found.returncode == 0, found.stderr
    said = [line for line in found.stdout.splitlines() if line.startswith("ROOT routechan Error in consumer")]
    assert len(said) == lines, found.stdout + found.stderr
    raised = [line for line in found.stdout.splitlines() if line.startswith("LookupError")]
    assert raised == ["LookupError: at first", "LookupError: after another setup"][:lines]
