"""Consumers of each kind that do something in each of their steps, and an application that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async

from routechan import Message, route
from routechan.routing import Router
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from tests.harness import WebSocket
from tests.unit.helpers import KINDS

ASYNC_KINDS = ["async", "async stream", "decorated async"]
ALL_KINDS = [*KINDS, "decorated async", "decorated stream", "decorated async stream"]
STREAMS = [kind for kind in ALL_KINDS if "stream" in kind]


def consumer_of(kind: str, step: Callable[[int], Any], steps: int = 1, pause: Any = None) -> Any:
    """A consumer of a kind that replies with what ``step`` returns, which may block: a stream in several steps."""

    async def an_async(message: Message) -> None:
        message.reply_channel.send({"text": str(await sync_to_async(step)(0))})

    async def async_stream(message: Message) -> Any:
        for number in range(steps):
            yield {"text": str(await sync_to_async(step)(number))}
            if pause is not None:
                await asyncio.to_thread(pause, number)

    def stream(message: Message) -> Any:
        for number in range(steps):
            yield {"text": str(step(number))}
            if pause is not None:
                pause(number)

    def plain(message: Message) -> None:
        message.reply_channel.send({"text": str(step(0))})

    found = {"plain": plain, "async": an_async, "stream": stream, "async stream": async_stream}[
        kind.removeprefix("decorated ")
    ]
    return (lambda message: found(message)) if kind.startswith("decorated") else found


async def accept(message: Any) -> None:
    message.reply_channel.send({"accept": True})


def serve(layer: ChannelLayerWrapper, *routing: Any) -> Any:
    layer.router = Router([route("websocket.connect", accept), *routing])
    return build_application(layer)


async def ask(socket: WebSocket, text: str = "x") -> str:
    socket.send(text)
    return await socket.text()
