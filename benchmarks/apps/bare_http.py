"""Pages beside the echo of ``bare_echo``, with no library at all."""

from bare_echo import app as echo

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


async def app(scope, receive, send):
    if scope["type"] != "http": return await echo(scope, receive, send)  # fmt: skip
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"hello"})
