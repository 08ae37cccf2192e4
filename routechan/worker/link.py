"""What a worker process and the process that started it say to each other.

One byte each: a child says when it is ready, its parent when to stop, and when to end at once. A parent that is gone
says "stop" by that. Signals would not do: whoever ends a service, or types Ctrl-C, signals the children as well as
the parent, and a second signal means that there is no time left.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

#: The environment variable that tells a child its number and its end of the link.
VARIABLE = "ROUTECHAN_WORKER"

READY = b"r"
STOP = b"s"
HURRY = b"!"


class ParentLink:
    """The child's end. Lifetime: process.

    ``number`` counts the children of a parent from 1 on.
    """

    def __init__(self, number: int, end: socket.socket) -> None:
        self.number = number
        self._end = end

    @classmethod
    def take(cls) -> ParentLink | None:
        """The link of this process, if a parent started it; the processes that this one starts do not get it."""
        given = os.environ.pop(VARIABLE, None)
        if given is None:
            return None
        number, descriptor = map(int, given.split(":"))
        end = socket.socket(fileno=descriptor)
        end.set_inheritable(False)
        return cls(number, end)

    def ready(self) -> None:
        """Say that messages are taken."""
        with suppress(OSError):  # the parent is gone, which is found out elsewhere
            self._end.sendall(READY)

    def listen(self, said: Callable[[bytes], object]) -> None:
        """From now on call ``said`` with what the parent says, on a thread."""

        def hear() -> None:
            word = STOP
            while word:
                try:
                    word = self._end.recv(1)
                except OSError:
                    word = b""
                said(word or STOP)

        threading.Thread(target=hear, name="routechan-parent", daemon=True).start()
