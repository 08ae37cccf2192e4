"""An open socket of a server in this process, whose events do what a test tells them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from routechan import Channel, route
from routechan.inspection import Kind
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from tests.harness import WebSocket
from tests.unit.django.helpers import consumer_of

#: A channel of user code, whose messages come over the layer.
CUSTOM = "custom"

#: A text for which the event's consumer is a stream.
STREAM = "stream"

Act = Callable[[Any], Any]


class Socket:
    """A socket of an application. Lifetime: test.

    Args:
        client: The client's side.
        acts: Takes what each event does next.
    """

    def __init__(self, client: WebSocket, acts: list[Act]) -> None:
        self.client = client
        self._acts = acts
        self.name = ""

    async def event(self, act: Act, channel: str = "websocket.receive") -> Any:
        """What ``act`` returned, called with the message of an event, whose end the client has seen.

        Args:
            act: What the event does.
            channel: The channel it comes on, or ``STREAM``.
        """
        found: list[Any] = []

        def event(message: Any) -> None:
            self.name = message.reply_channel.name
            found.append(act(message))

        self._acts.append(event)
        if channel == CUSTOM:
            await Channel(CUSTOM).asend({"reply_channel": self.name})
        else:
            self.client.send(STREAM if channel == STREAM else "x")
        await self.client.text()
        return found[0]

    async def data(self) -> dict[str, Any]:
        """What the next event finds in the session."""
        data: dict[str, Any] = await self.event(lambda message: dict(message.channel_session.items()))
        return data

    async def close(self, act: Act) -> None:
        """Have the consumer of ``websocket.disconnect`` do ``act``, and wait for it."""
        self._acts.append(act)
        await self.client.__aexit__(None, None, None)


@asynccontextmanager
async def opened(
    layer: ChannelLayerWrapper,
    kind: Kind,
    decorator: Any,
    connect: Any = None,
    headers: Any = (),
    stream_kind: Kind = Kind.STREAM,
) -> AsyncIterator[Socket]:
    """An open socket.

    Args:
        layer: The layer of its site.
        kind: That of all consumers.
        decorator: Theirs.
        connect: The decorator of the connect consumer, if that has another.
        headers: What the browser sends.
        stream_kind: That of the consumer of ``STREAM``.
    """
    acts: list[Act] = []

    def accept(message: Any) -> None:
        message.reply_channel.send({"accept": True})

    def act(message: Any) -> None:
        if acts:
            acts.pop(0)(message)
        message.reply_channel.send({"text": "done"})

    def stream(message: Any) -> dict[str, Any]:
        acts.pop(0)(message)
        return {"text": "done"}

    consumer = decorator(consumer_of(kind, act))
    layer.router = Router(
        [
            route("websocket.connect", (connect or decorator)(consumer_of(kind, accept))),
            route("websocket.receive", decorator(consumer_of(stream_kind, stream)), text=STREAM),
            *(route(channel, consumer) for channel in ("websocket.receive", "websocket.disconnect", CUSTOM)),
        ]
    )
    async with WebSocket(build_application(layer), headers=headers) as client:
        await client.accepted()
        yield Socket(client, acts)
