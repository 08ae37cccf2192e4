"""What tells a server early that its process is to stop: ASGI servers say so only once no connection is left."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any

#: The signals that stop ASGI servers.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Listens to the signals that stop the process, in front of whoever handles them. Lifetime: that of the server.

    A signal that nobody handles is left alone, and so are all of them where the server runs beside the main thread.

    Args:
        stopping: called on the event loop after each signal.
    """

    def __init__(self, stopping: Callable[[], object]) -> None:
        self._stopping = stopping
        self._replaced: dict[signal.Signals, Any] = {}

    def start(self) -> None:
        """Listen from now on, on the running event loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._replaced[number] = handler
                signal.signal(number, self._handle)

    def stop(self) -> None:
        """Leave the signals to whoever handled them, unless somebody has replaced this already."""
        for number, handler in self._replaced.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        self._loop.call_soon_threadsafe(self._stopping)
        self._replaced[signal.Signals(number)](number, frame)
