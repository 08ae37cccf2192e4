"""Echo with no library at all."""


async def app(scope, receive, send):
    if scope["type"] != "websocket": return  # fmt: skip
    await receive(); await send({"type": "websocket.accept"})  # fmt: skip
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})
