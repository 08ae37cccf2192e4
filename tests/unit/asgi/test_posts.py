"""What pages post to their event streams."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from routechan import ChannelFull, Message, route
from routechan.app import application as inline
from routechan.asgi import event_stream, posts
from routechan.exceptions import MessageTooLarge
from routechan.layers import SyncChannelLayer
from routechan.telemetry.counters import counters

from .clients import Lifespan, logged
from .conftest import Serve
from .consumers import SOCKET, Log, accept, aecho
from .pages import TEXT, Page

CHAT = [route("websocket.connect", accept), route("websocket.receive", aecho)]


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([TEXT], "text"),
        ([(b"content-type", b"application/json")], "text"),
        ([(b"content-type", b"Application/Octet-Stream")], "bytes"),
        ([(b"x-other", b"no type: what fetch sends of an ArrayBuffer")], "bytes"),
    ],
)
async def test_text_and_bytes(serve: Serve, headers: Any, key: str) -> None:
    """The content type says which; none is bytes."""
    log = Log({"accept": True})
    async with Page(await serve([route(SOCKET, log.consume)])) as page:
        await page.open()
        assert (await page.post("é".encode(), *headers)).status == 204
    value = "é" if key == "text" else "é".encode()
    [received] = log.of("websocket.receive")
    assert received[key] == value
    assert set(received) == {"reply_channel", "path", "order", key}


async def test_an_address_is_a_secret(serve: Serve) -> None:
    """Nothing but the address opens a stream: no reply channel, and no address of another stream."""
    log = Log({"accept": True})
    application = await serve([route(SOCKET, log.consume)])
    async with Page(application) as page, Page(application) as stranger:
        await page.open()
        await stranger.open()
        name, secret = page.address[1:].partition("=")[2].split("~")
        assert len(secret) == posts.SECRET_LENGTH
        reply_channel = log.last["reply_channel"]
        for guess in (
            f"{name}~{'a' * posts.SECRET_LENGTH}",
            f"{name}~",
            name,
            f"{reply_channel}~{secret}",
            f"{name[:-1]}A~{secret}x",
            "",
        ):
            assert (await page.post(b"guess", address=f"?{posts.QUERY.decode()}{guess}")).status == 410, guess
        assert log.of("websocket.receive") == []
        assert (await page.post(b"quoted", address=page.address.replace("!", "%21"))).status == 204
    assert [entry["text"] for entry in log.of("websocket.receive")] == ["quoted"]


async def test_foreign_pages(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A page that may not open a socket may not post to a stream, whatever it knows."""
    for debug, text in ((False, b"This page may not post here."), (True, b"is not this host")):
        async with Page(await serve(CHAT, debug=debug)) as page:
            await page.open()
            answer = await page.post(b"x", (b"origin", b"https://evil.example"), TEXT)
            assert (answer.status, b"access-control-allow-origin" in answer.headers) == (403, False)
            assert text in answer.body
    assert "is not this host" in "".join(logged(caplog))


async def test_a_message_that_is_too_large(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """FRAME_BYTES bounds a post, which is answered with 413; the stream goes on."""
    async with Page(await serve(CHAT, frame_bytes=4)) as page:
        await page.open()
        before = counters.limited["frame_bytes"]
        assert (await page.post(b"12345")).status == 413
        assert counters.limited["frame_bytes"] == before + 1
        await page.say("1234")
        assert await page.heard() == ("message", "1234")
    assert "FRAME_BYTES" in "".join(logged(caplog))


async def test_no_text(serve: Serve) -> None:
    """Text is UTF-8; other bytes are refused, with what to do."""
    async with Page(await serve(CHAT)) as page:
        await page.open()
        answer = await page.post(b"\xff")
    assert answer.status == 400
    assert b"application/octet-stream" in answer.body


async def test_more_than_is_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a busy consumer is bounded; further messages get a 429 and none is lost or overtaken."""
    monkeypatch.setattr(event_stream, "INBOX_BYTES", 20)
    began, go, seen = asyncio.Event(), asyncio.Event(), []

    async def slow(message: Message) -> None:
        seen.append(message["text"])
        began.set()
        await go.wait()

    async with Page(await serve([route("websocket.connect", accept), route("websocket.receive", slow)])) as page:
        await page.open()
        await page.say("first")
        await began.wait()
        taken = ["first"]
        for number in range(100):
            answer = await page.post(str(number).encode())
            if answer.status != 204:
                break
            taken.append(str(number))
        assert (answer.status, answer.headers[b"retry-after"]) == (429, b"1")
        assert len(taken) <= event_stream.INBOX + 2
        go.set()
        while (await page.post(b"again")).status == 429:
            await asyncio.sleep(0.01)
    assert seen == [*taken, "again"]


async def test_large_messages_of_a_busy_consumer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that wait are bounded too; one message of any size may."""
    monkeypatch.setattr(event_stream, "INBOX_BYTES", 20)
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(message: Message) -> None:
        began.set()
        await go.wait()

    async with Page(await serve([route("websocket.connect", accept), route("websocket.receive", slow)])) as page:
        await page.open()
        await page.say("first")
        await began.wait()
        await page.say("x" * 100)
        assert (await page.post(b"y")).status == 429
        go.set()


async def test_the_rate_of_messages(serve: Serve) -> None:
    """FRAME_RATE paces a stream as a socket: the rest of what its page posts is refused."""
    async with Page(await serve(CHAT, frame_rate="1/h")) as page:
        await page.open()
        answers = [(await page.post(b"x")).status for _ in range(event_stream.INBOX + 5)]
    assert answers[0] == 204
    assert answers[-1] == 429


async def test_a_post_without_its_end(serve: Serve) -> None:
    """A message that does not arrive in time is a 408."""
    application = await serve(CHAT, http_timeout=0.05)
    async with Page(application) as page:
        await page.open()
        answer = await page.post(None, TEXT)  # type: ignore[arg-type]
    assert answer.status == 408


async def test_another_process(default_layer: SyncChannelLayer) -> None:
    """A post that comes to another process of the site crosses the layer, and so does its answer."""
    first, second = inline(CHAT, default_layer.layer), inline(CHAT, default_layer.layer)
    async with Lifespan(first), Lifespan(second), Page(first) as page:
        await page.open()
        assert (await page.post(b"from afar", to=second)).status == 204
        assert await page.heard() == ("message", "from afar")
        secret = page.address[-posts.SECRET_LENGTH :]
        unknown = page.address.replace(secret, secret.swapcase())
        assert (await page.post(b"x", to=second, address=unknown)).status == 410


async def test_a_process_that_does_not_answer(
    serve: Serve, default_layer: SyncChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is gone the stream is gone; where it may live, nobody knows whether the message was taken."""
    monkeypatch.setattr(posts, "ANSWER_TIMEOUT", 0.05)
    queue = f"http.post.abcdef.{default_layer.layer.process}!"
    page = Page(await serve(CHAT))
    address = f"?{posts.QUERY.decode()}{queue}{'a' * 10}~{'b' * posts.SECRET_LENGTH}"
    assert (await page.post(b"x", address=address)).status == 410
    default_layer.layer.attach(queue, lambda channels, content: None)
    answer = await page.post(b"x", address=address)
    assert answer.status == 503
    assert b"not known" in answer.body


@pytest.mark.parametrize(("error", "status"), [(ChannelFull("http.post.x!", 1), 503), (MessageTooLarge("big"), 413)])
async def test_a_layer_that_refuses(
    serve: Serve,
    default_layer: SyncChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
) -> None:
    """The page is told what the layer said, and so is the log."""

    def refuse(*args: Any, **options: Any) -> None:
        raise error

    async with Page(await serve(CHAT)) as page:
        await page.open()
        with monkeypatch.context() as patched:
            patched.setattr(default_layer.layer, "post", refuse)
            assert (await page.post(b"x")).status == status
    assert logged(caplog, logging.ERROR)


async def test_the_way_back(
    serve: Serve,
    default_layer: SyncChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An answer that cannot be sent is logged; the message is taken."""
    monkeypatch.setattr(posts, "ANSWER_TIMEOUT", 0.05)
    post = default_layer.layer.post

    def refuse(channel: str, content: Any, *args: Any, **options: Any) -> Any:
        if "number" in content:
            raise ChannelFull(channel, 1)
        return post(channel, content, *args, **options)

    async with Page(await serve(CHAT)) as page:
        await page.open()
        monkeypatch.setattr(default_layer.layer, "post", refuse)
        assert (await page.post(b"x")).status == 503
        monkeypatch.undo()
        assert await page.heard() == ("message", "x")
    assert "is not told whether" in "".join(logged(caplog))
