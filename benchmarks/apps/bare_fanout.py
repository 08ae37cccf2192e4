"""What one socket says goes to all, with no library at all."""

sockets = set()


async def app(scope, receive, send):
    if scope["type"] != "websocket": return  # fmt: skip
    await receive(); await send({"type": "websocket.accept"}); sockets.add(send)  # fmt: skip
    while (event := await receive())["type"] == "websocket.receive":
        for each in tuple(sockets): await each({"type": "websocket.send", "text": event["text"]})  # fmt: skip
    sockets.discard(send)
