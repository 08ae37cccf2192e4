"""Echo and fan-out on python-socketio, whose clients speak Socket.IO."""

from __future__ import annotations

import socketio

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], http_compression=False)


@server.event
async def connect(sid: str, environ: dict[str, object], auth: object) -> None:
    await server.enter_room(sid, "all")


@server.event
async def message(sid: str, text: str) -> None:
    await server.emit("message", text, to=sid)


@server.event
async def everybody(sid: str, text: str) -> None:
    await server.emit("everybody", text, room="all")


app = socketio.ASGIApp(server)
