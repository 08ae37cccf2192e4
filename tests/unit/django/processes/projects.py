"""What the projects of these tests share: a ``manage.py``, and what their servers answer."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

MANAGE = """
    import os, sys
    from django.core.management import execute_from_command_line

    if __name__ == "__main__":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        execute_from_command_line(sys.argv)
"""


def said(port: int, text: str, path: str = "/") -> str:
    """What a socket answers to a frame."""
    with connect(f"ws://127.0.0.1:{port}{path}") as socket:
        socket.send(text)
        return str(socket.recv(timeout=10))


def fetched(port: int, path: str) -> str:
    """The body of a page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


def new_code_answers(port: int, path: str, old: str, new: str, change: Callable[[], None]) -> Callable[[], bool]:
    """Whether ``new`` answers after a change, which is made until it is seen.

    Django's reloader does not look at files in its first second.
    """

    def check() -> bool:
        try:
            answer = said(port, "hello", path)
        except (OSError, WebSocketException):  # between the two
            return False
        if answer == f"{old} hello":
            change()
        return answer == f"{new} hello"

    return check
