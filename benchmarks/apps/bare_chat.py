"""Rooms with no library at all: what one socket says goes to all of its room."""

rooms = {}


async def app(scope, receive, send):
    if scope["type"] != "websocket": return  # fmt: skip
    await receive(); await send({"type": "websocket.accept"})  # fmt: skip
    room = rooms.setdefault(scope["path"], set()); room.add(send)  # fmt: skip
    while (event := await receive())["type"] == "websocket.receive":
        for each in tuple(room): await each({"type": "websocket.send", "text": event["text"]})  # fmt: skip
    room.discard(send)
    if not room: rooms.pop(scope["path"], None)  # fmt: skip
