"""What a page does with an ``EventSource``: reads events while the response is open, and posts beside it."""

from __future__ import annotations

import http.client
import socket
from types import TracebackType

SOON = 30.0


class EventSource:
    """An open stream of the server, or the proxy, at ``port``. Use with ``with``; leaving it closes the connection.

    It comes back with ``id``, the last one that another has heard.
    """

    def __init__(self, port: int, path: str, id: str = "") -> None:
        self.port = port
        self.path = path
        self.id = id

    def __enter__(self) -> EventSource:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
        headers = {"Accept": "text/event-stream"}
        if self.id:
            headers["Last-Event-ID"] = self.id
        self._connection.request("GET", self.path, headers=headers)
        self.response = self._connection.getresponse()
        self.address = ""
        if self.response.status == 200:
            name, self.address = self.hears()
            assert name == "address"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self._connection.close()

    def hears(self) -> tuple[str, str]:
        """Name and data of the next event; comments are passed over."""
        name, data = "message", []
        while (line := self.response.readline().decode().rstrip("\n")) or not data:
            assert line or not self.response.isclosed(), "the stream has ended"
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.id = value
            elif field == "data":
                data.append(value)
        return name, "\n".join(data)

    def post(self, body: bytes, kind: str = "text/plain", port: int | None = None) -> int:
        """The status of the answer to a message."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=SOON)
        try:
            connection.request("POST", self.path + self.address, body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
