"""Consumers that the tests of the ASGI application share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from routechan import Group, Message, route
from routechan.encoding import Content
from routechan.interfaces import Replies

SOCKET = ("websocket.connect", "websocket.receive", "websocket.disconnect")
HTTP = ("http.request", "http.disconnect")


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


async def aecho(message: Message) -> None:
    echo(message)


def join(message: Message) -> None:
    """Accepts, and becomes a member of the group ``all``."""
    accept(message)
    Group("all").add(message.reply_channel)


class Log:
    """A consumer that keeps what came, and sends ``replies`` to each connect and request. Lifetime: test."""

    def __init__(self, *replies: dict[str, Any]) -> None:
        self.replies = replies
        self.seen: list[dict[str, Any]] = []

    def routing(self, **filters: str) -> list[Any]:
        """Takes all events of sockets and requests."""
        return [route(SOCKET + HTTP, self.consume, **filters)]

    def consume(self, message: Message) -> None:
        self.seen.append({"channel": message.channel_name, **message.content})
        if message.channel_name in ("websocket.connect", "http.request"):
            for reply in self.replies:
                message.reply_channel.send(reply)

    @property
    def last(self) -> dict[str, Any]:
        return self.seen[-1]

    def orders(self) -> list[tuple[str, int]]:
        return [(entry["channel"].partition(".")[2], entry["order"]) for entry in self.seen]

    def of(self, channel: str) -> list[dict[str, Any]]:
        """The contents that came on ``channel``."""
        return [
            {key: value for key, value in entry.items() if key != "channel"}
            for entry in self.seen
            if entry["channel"] == channel
        ]


class NoConsumers:
    """Takes nothing. Keeps when it was started and stopped, or fails at it with an error. Lifetime: test."""

    def __init__(self, **errors: Exception) -> None:
        self.did: list[str] = []
        self.errors = errors

    async def start(self, replies: Replies) -> None:
        self._do("start")

    async def stop(self) -> None:
        self._do("stop")

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what in self.errors:
            raise self.errors[what]

    def serves(self, channels: Iterable[str], content: Content) -> bool:
        return False

    def watches_end(self, content: Content) -> bool:
        return False
