"""The same application answers the same on every kind of server."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.processes import ServerProcess

from .eventsource import EventSource

pytestmark = pytest.mark.slow


def url(server: ServerProcess, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}{path}"


async def refused(server: ServerProcess, path: str, **options: Any) -> int:
    """The HTTP status a handshake is refused with."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url(server, path), **options):
            pass
    return caught.value.response.status_code


async def closed(socket: ClientConnection) -> int:
    """The code a socket is closed with by the server."""
    with pytest.raises(ConnectionClosed) as caught:
        await socket.recv()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


@pytest.mark.parametrize("path", ["/echo/", "/aecho/"])
async def test_text_and_bytes(server: ServerProcess, path: str) -> None:
    """Items 153, 158: text and bytes come back as what they were, from a plain and an async consumer."""
    async with connect(url(server, path)) as socket:
        for data in ("hello", b"\x00\xff bytes", "größer \U0001f600", "x" * 300_000):
            await socket.send(data)
            assert await socket.recv() == data


async def test_what_a_connect_consumer_is_given(server: ServerProcess) -> None:
    """Item 152, 6.8: path, query, headers, client, scheme and order 0; a text reply opens the socket (155)."""
    options: dict[str, Any] = {"additional_headers": {"X-Test": "one"}}
    async with connect(url(server, "/tell/th%20ings/?a=1&b=%20"), **options) as socket:
        told = json.loads(await socket.recv())
    assert told["channel"] == "websocket.connect"
    assert told["path"] == "/tell/th ings/"
    assert told["query"] == "a=1&b=%20"
    assert told["order"] == 0
    assert told["scheme"] == "ws"
    assert told["client"][0] == "127.0.0.1"
    assert ["x-test", "one"] in told["headers"]


async def test_what_a_receive_consumer_is_given(server: ServerProcess) -> None:
    """6.10: the path again, and orders that count the frames from 1."""
    async with connect(url(server, "/tell/x/")) as socket:
        await socket.recv()
        for order in (1, 2):
            await socket.send("go")
            told = json.loads(await socket.recv())
            assert (told["channel"], told["path"], told["order"]) == ("websocket.receive", "/tell/x/", order)
            assert told["kwargs"] == {"what": "x"}


@pytest.mark.parametrize("path", ["/deny/", "/refuse/", "/ignore/", "/nowhere/"])
async def test_refused_handshakes(server: ServerProcess, path: str) -> None:
    """Items 154, 156: denied, refused by reply, never accepted in time, and without a route: HTTP 403 each."""
    assert await refused(server, path) == 403


async def test_a_foreign_origin_is_refused(server: ServerProcess) -> None:
    """A page of another host may not connect; one of this host may."""
    assert await refused(server, "/echo/", origin=Origin("https://evil.example")) == 403
    async with connect(url(server, "/echo/"), origin=Origin(f"http://127.0.0.1:{server.port}")) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"


async def test_subprotocol(server: ServerProcess) -> None:
    """6.8: of the client's offers the first that is supported is chosen."""
    offers = [Subprotocol("yaml"), Subprotocol("xml"), Subprotocol("json")]
    async with connect(url(server, "/echo/"), subprotocols=offers) as socket:
        assert socket.subprotocol == "xml"


@pytest.mark.parametrize(
    ("path", "text", "code"), [("/close/", "", 1000), ("/close/", "4001", 4001), ("/raise/", "4003", 4003)]
)
async def test_closing(server: ServerProcess, path: str, text: str, code: int) -> None:
    """6.9: ``close`` True is 1000, a number is the code; ``WebsocketCloseException`` does the same (EX-09)."""
    async with connect(url(server, path)) as socket:
        await socket.send(text)
        assert await closed(socket) == code


@pytest.mark.parametrize("code", ["", "4003"])
async def test_closing_a_group(server: ServerProcess, code: str) -> None:
    """Each member is sent what stands in the same message, and closed; its disconnect consumer is given the code."""
    path = f"/room/watched{code}/"
    async with connect(url(server, "/watch/")) as watcher, connect(url(server, path)) as one:
        with EventSource(server.port, path) as page:
            async with connect(url(server, path)) as other:
                await one.send("close" + code)
                for socket in (one, other):
                    assert await socket.recv() == "goodbye"
                    assert await closed(socket) == int(code or 1000)
            heard = [await asyncio.to_thread(page.hears) for _ in range(2)]
        assert heard == [("message", "goodbye"), ("close", code or "1000")]
        told = [json.loads(await asyncio.wait_for(watcher.recv(), 20))["code"] for _ in range(3)]
        assert told == [int(code or 1000)] * 3


async def test_data_and_close_in_one_reply(server: ServerProcess) -> None:
    """Item 157: data with ``close`` during the handshake accepts, sends and closes."""
    async with connect(url(server, "/goodbye/")) as socket:
        assert await socket.recv() == "goodbye"
        assert await closed(socket) == 4002


async def test_disconnect_codes(server: ServerProcess) -> None:
    """6.11: the client's code, None without one, the server's own, and 1006 for a denied socket."""
    async with connect(url(server, "/watch/")) as watcher:

        async def told() -> dict[str, Any]:
            content: dict[str, Any] = json.loads(await watcher.recv())
            return content

        async with connect(url(server, "/watched/")) as socket:
            await socket.send("x")
            await socket.recv()
            await socket.close(4001)
        # hypercorn does not pass the client's code on, whoever closes
        assert await told() == {"code": 1006 if server.kind == "hypercorn" else 4001, "order": 2}
        async with connect(url(server, "/close/")) as socket:
            await socket.send("4005")
            assert await closed(socket) == 4005
        assert await told() == {"code": 4005, "order": 2}
        assert await refused(server, "/deny/") == 403
        assert await told() == {"code": 1006, "order": 1}


@pytest.mark.parametrize("path", ["/stream/", "/astream/"])
async def test_streams_run_beside_later_events(server: ServerProcess, path: str) -> None:
    """A generator's dicts arrive while it runs, and the socket's frames are answered meanwhile."""
    async with connect(url(server, path)) as socket:
        assert [await socket.recv() for _ in range(3)] == ["0", "1", "2"]
        await socket.send("hello")
        seen: list[Any] = []
        while "hello" not in seen:
            seen.append(await socket.recv())
        numbers = [int(text) for text in seen if text != "hello"]
        assert numbers == list(range(3, 3 + len(numbers)))


async def test_groups(server: ServerProcess) -> None:
    """A group send reaches all members of the room, and nobody else."""
    async with (
        connect(url(server, "/room/one/")) as first,
        connect(url(server, "/room/one/")) as second,
        connect(url(server, "/room/two/")) as other,
    ):
        await first.send("hello")
        assert await first.recv() == "hello"
        assert await second.recv() == "hello"
        await other.send("alone")
        assert await other.recv() == "alone"


async def test_an_error_costs_one_message(server: ServerProcess) -> None:
    """WK-20: a consumer that raises is logged by name, and the socket goes on."""
    async with connect(url(server, "/fail/")) as socket:
        await socket.send("fail")
        await socket.send("hello")
        assert await socket.recv() == "hello"
    server.wait_until(
        lambda: "Error in consumer tests.integration.servers.app.fail on websocket.receive" in server.output,
        "the error is logged",
    )


def test_http(server: ServerProcess) -> None:
    """A routed request is answered by its consumer, any other with 404 where there is no other application."""
    base = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{base}/http/", data=b"the body", timeout=10) as response:
        assert (response.status, response.read()) == (201, b"POST the body")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{base}/nowhere/", timeout=10)
