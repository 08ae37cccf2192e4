"""A plain ``EventSource``, and the bridge that falls back to one, in a real browser in front of a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Example, Windows
from .test_bridge import hears, site

__all__ = ["site"]

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONNECT = """(path) => {
    window.heard = [];
    bridge.connect(path, undefined, {minReconnectionDelay: 50, transports: ["websocket", "sse"]});
    bridge.socket.onopen = () => heard.push("open");
    bridge.socket.addEventListener("close", (event) => heard.push(`closed ${event.code}`));
    bridge.demultiplex("news", (payload, stream) => heard.push([payload, stream]));
    bridge.listen((message, stream) => heard.push([message, stream]));
}"""

HELLO = ["open", [{"hello": "/ws/blocked/"}, None]]


def fallen_back(windows: Windows, site: Example, page: str) -> Page:
    """A window whose bridge has found no WebSocket, and has an event stream."""
    window = windows.open(f"{site.url}/{page}/")
    window.evaluate(CONNECT, "/ws/blocked/")
    hears(window, ["closed 1006", *HELLO])
    return window


@pytest.mark.parametrize("page", ["old", "new", "module"])
def test_the_bridge_falls_back(site: Example, windows: Windows, page: str) -> None:
    """Callbacks, streams and order are those of a WebSocket, and so is what a page may do in the same breath."""
    window = fallen_back(windows, site, page)
    window.evaluate("() => { for (let n = 0; n < 10; n += 1) bridge.stream('news').send({n, text: 'é😀\\n'}); }")
    hears(window, [[{"n": n, "text": "é😀\n"}, "news"] for n in range(10)])
    assert window.evaluate("[bridge.socket.readyState, bridge.socket.bufferedAmount]") == [1, 0]
    window.evaluate("bridge.send({bye: 4000})")
    hears(window, ["closed 4000", *HELLO])
    window.evaluate("() => { bridge.send({last: 1}); bridge.socket.close(4001); }")
    hears(window, ["closed 4001", *HELLO])
    refused = "() => { try { bridge.socket.close(1001); } catch (error) { return error.name; } }"
    assert window.evaluate(refused) == "InvalidAccessError"
    window.evaluate("bridge.socket.close(4002, '', {fastClose: false, keepClosed: true})")
    hears(window, ["closed 4002"])
    assert window.evaluate("bridge.socket.readyState") == 3


def test_bytes(site: Example, windows: Windows) -> None:
    """Array buffers, views and blobs go as bytes, and come as what ``binaryType`` says."""
    window = fallen_back(windows, site, "new")
    echoed = """async (kind) => {
        const bytes = new Uint8Array([0, 255, 10]);
        const data = {buffer: bytes.buffer, view: bytes, blob: new Blob([bytes], {type: "text/plain"})}[kind];
        const answer = new Promise((resolve) => { bridge.socket.onmessage = (event) => resolve(event.data); });
        bridge.socket.binaryType = kind === "blob" ? "blob" : "arraybuffer";
        bridge.socket.send(data);
        const got = await answer;
        return [got.constructor.name, ...new Uint8Array(got instanceof Blob ? await got.arrayBuffer() : got)];
    }"""
    for kind, name in (("buffer", "ArrayBuffer"), ("view", "ArrayBuffer"), ("blob", "Blob")):
        assert window.evaluate(echoed, kind) == [name, 0, 255, 10]


def test_a_plain_event_source(site: Example, windows: Windows) -> None:
    """What docs/sse.rst shows is all that a page without the bridge needs."""
    window = windows.open(f"{site.url}/new/")
    heard: Any = window.evaluate(
        """() => new Promise((resolve) => {
            const source = new EventSource("/ws/plain/"), heard = [];
            let address;
            source.addEventListener("address", (event) => { address = new URL(event.data, source.url); });
            source.addEventListener("message", async (event) => {
                heard.push(event.data);
                const body = heard.length === 1 ? '{"text": "hello"}' : '{"bye": 4000}';
                heard.push((await fetch(address, {method: "POST", body})).status);
            });
            source.addEventListener("close", (event) => { source.close(); resolve([...heard, event.data]); });
        })"""
    )
    assert heard == ['{"hello": "/ws/plain/"}', 204, '{"text": "hello"}', 204, "4000"]
