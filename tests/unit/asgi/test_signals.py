"""Signals that stop the process, as a server hears of them before its ASGI server tells it to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from routechan.asgi.signals import STOP_SIGNALS, StopSignals
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="only the main thread may handle signals"
)


class Handler:
    """Handles signals as an ASGI server does. Lifetime: test."""

    def __init__(self) -> None:
        self.handled: list[int] = []

    def __call__(self, number: int, frame: Any) -> None:
        self.handled.append(number)


@pytest.fixture
def handler() -> Iterator[Handler]:
    handler = Handler()
    before = [(number, signal.signal(number, handler)) for number in STOP_SIGNALS]
    yield handler
    for number, was in before:
        signal.signal(number, was)


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_both_hear_of_a_signal(handler: Handler, number: signal.Signals) -> None:
    """And only the server does once this has stopped."""
    heard: list[None] = []
    signals = StopSignals(lambda: heard.append(None))
    signals.start()
    signal.raise_signal(number)
    assert handler.handled == [number]
    await until(lambda: heard == [None])
    signals.stop()
    assert signal.getsignal(number) is handler


async def test_a_signal_that_nobody_handles(handler: Handler) -> None:
    """It goes on to end the process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals = StopSignals(lambda: None)
    signals.start()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signals.stop()


async def test_who_replaces_it_stays(handler: Handler) -> None:
    """uvicorn puts back what was there before it."""
    signals, later = StopSignals(lambda: None), Handler()
    signals.start()
    signal.signal(signal.SIGTERM, later)
    signals.stop()
    assert signal.getsignal(signal.SIGTERM) is later
    assert signal.getsignal(signal.SIGINT) is handler


def test_beside_the_main_thread(handler: Handler) -> None:
    """``runserver`` runs its server there, where nobody may handle signals."""
    found: list[Any] = []

    def run() -> None:
        signals = StopSignals(lambda: None)
        signals.start()
        found.append(signal.getsignal(signal.SIGTERM))
        signals.stop()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [handler]
