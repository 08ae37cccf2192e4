"""The same work on Starlette."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

rooms: dict[str, set[WebSocket]] = {}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def chat(socket: WebSocket) -> None:
    await socket.accept()
    room = socket.path_params["room"]
    rooms.setdefault(room, set()).add(socket)
    async for text in socket.iter_text():
        for each in tuple(rooms[room]):
            await each.send_text(text)
    rooms[room].discard(socket)
    if not rooms[room]:
        del rooms[room]


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


app = Starlette(
    routes=[WebSocketRoute("/echo", echo), WebSocketRoute("/chat/{room}", chat), Route("/page", page)],
)
