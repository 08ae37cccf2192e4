"""``WebSocketBridge`` in a real browser, in front of a real server (the specification's section 12)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import free_port

from .conftest import Example, Windows

pytestmark = pytest.mark.browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

CONNECT = """([path, options]) => {
    window.heard = [];
    bridge.connect(path, undefined, options);
    bridge.socket.onopen = () => heard.push("open");
    bridge.socket.addEventListener("close", (event) => heard.push(`closed ${event.code}`));
    bridge.demultiplex("news", (payload, stream) => heard.push([payload, stream]));
    bridge.listen((message, stream) => heard.push([message, stream]));
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Example]:
    """``runserver`` with the project beside this file."""
    port = free_port()
    environment = {"DJANGO_SETTINGS_MODULE": "tests.integration.browser.bridge.settings"}
    arguments = ["-m", "django", "runserver", "--noreload", "--skip-checks", f"127.0.0.1:{port}"]
    with Example(arguments, port, environment=environment) as server:
        yield server
    assert "Traceback" not in server.output


def connected(
    windows: Windows, site: Example, page: str = "old", *, pause: int = 100, options: dict[str, Any] | None = None
) -> Page:
    """A window whose bridge is connected and has been greeted."""
    window = windows.open(f"{site.url}/{page}/")
    window.evaluate(CONNECT, ["/ws/chat/", {"minReconnectionDelay": pause, **(options or {})}])
    hears(window, ["open", [{"hello": "/ws/chat/"}, None]])
    return window


def hears(window: Page, expected: list[Any]) -> None:
    """Wait until exactly this was heard, and begin to listen anew."""
    window.wait_for_function("(count) => heard.length >= count", arg=len(expected))
    assert window.evaluate("heard.splice(0)") == expected


@pytest.mark.parametrize("page", ["old", "new", "module"])
def test_connect_listen_demultiplex_send(site: Example, windows: Windows, page: str) -> None:
    """JS-02 to JS-06: a path of this host; frames with a stream to its callback, others to the default one."""
    window = connected(windows, site, page)
    window.evaluate("bridge.send({text: 'é😀'})")
    window.evaluate("bridge.stream('news').send({id: 5})")
    window.evaluate("bridge.stream('nobody').send(1)")
    window.evaluate("bridge.send({stream: undefined, last: true})")
    hears(window, [[{"text": "é😀"}, None], [{"id": 5}, "news"], [{"last": True}, None]])


@pytest.mark.parametrize("page", ["old", "new", "module"])
def test_what_is_sent_early_is_kept(site: Example, windows: Windows, page: str) -> None:
    """A page sends in the line after ``connect``, and again in a pause; more than is kept is an error."""
    window = windows.open(f"{site.url}/{page}/")
    window.evaluate(
        """() => {
            window.heard = [];
            bridge.connect("/ws/early/", undefined, {minReconnectionDelay: 100, maxKeptMessages: 2});
            bridge.listen((message, stream) => heard.push(message));
            bridge.demultiplex("news", (payload, stream) => heard.push([payload, stream]));
            bridge.send({first: "é😀"});
            bridge.stream("news").send(1);
            try { bridge.send({third: 3}); } catch (error) { heard.push(error.code); }
        }"""
    )
    hears(window, ["ENOBUFS", {"hello": "/ws/early/"}, {"first": "é😀"}, [1, "news"]])
    window.evaluate("() => { bridge.socket.close(4001); bridge.send({again: 1}); bridge.stream('news').send(2); }")
    hears(window, [{"hello": "/ws/early/"}, {"again": 1}, [2, "news"]])
    window.evaluate("bridge.socket.close(1000, '', {keepClosed: true})")
    assert window.evaluate("() => { try { bridge.send(1); } catch (error) { return error.code; } }") == "ENOTCONN"


def test_questions(site: Example, windows: Windows) -> None:
    """The page asks a consumer and the consumer asks the page, each with an answer and with none."""
    window = windows.open(f"{site.url}/module/")
    window.evaluate(
        """() => {
            window.heard = [];
            bridge.connect("/ws/questions/", undefined, {recover: true});
            bridge.listen((message) => heard.push(message));
            bridge.answer(({size}) => { if (!size) throw new Error("no size"); return {twice: 2 * size}; });
        }"""
    )
    hears(window, [{"hello": "/ws/questions/"}])
    assert window.evaluate("Promise.all([bridge.ask({item: 7}), bridge.ask('é')])") == [[{"item": 7}], ["é"]]
    failed = window.evaluate("bridge.ask(null).catch((error) => [error.code, error.message])")
    assert failed == ["EFAILED", "Its consumer has ended without an answer."]
    for question in ({"size": 21}, {"size": 0}):
        window.evaluate("(question) => bridge.send({ask: question})", question)
    window.evaluate("bridge.send({last: true})")
    hears(window, [{"twice": 42}, "no size", {"last": True}])


def test_a_question_whose_connection_is_lost(site: Example, windows: Windows) -> None:
    """It fails as that, is not asked again, and the next connection takes questions."""
    window = connected(windows, site, options={"recover": True})
    lost = "() => { bridge.send({bye: 4000}); return bridge.ask({item: 1}).catch((error) => error.code); }"
    assert window.evaluate(lost) == "ECONNRESET"
    hears(window, ["closed 4000", "open", [{"hello": "/ws/chat/"}, None]])
    assert window.evaluate("bridge.ask({item: 2})") == [{"item": 2}]


@pytest.mark.parametrize("options", [{}, {"recover": True, "transports": ["sse"]}], ids=["plain", "sse"])
def test_where_nobody_can_ask(site: Example, windows: Windows, options: dict[str, Any]) -> None:
    """Without the protocol, and on an event stream, both sides are told so at once."""
    window = connected(windows, site, options=options)
    assert window.evaluate("bridge.ask({item: 1}).catch((error) => error.code)") == "ENOTSUP"
    window.evaluate("bridge.send({ask: {size: 21}})")
    hears(window, [["it does not speak routechan.v1, so it takes no questions", None]])


def test_comes_back_after_the_server_does(site: Example, windows: Windows) -> None:
    """JS-08, JS-12: the server restarts; the bridge connects again and its callbacks go on."""
    window = connected(windows, site)
    site.stop()
    window.wait_for_function("heard.length >= 1")
    site.start()
    window.wait_for_function("heard.includes('open')")
    window.evaluate("bridge.stream('news').send('again')")
    window.wait_for_function("heard.length && heard[heard.length - 1][1] === 'news'")
    heard = window.evaluate("heard")
    # A server that goes away says 1001 or 1012, or nothing; each failed attempt says 1006.
    assert {line for line in heard if isinstance(line, str)} <= {"open", "closed 1001", "closed 1012", "closed 1006"}
    assert heard[-3:] == ["open", [{"hello": "/ws/chat/"}, None], ["again", "news"]]


def test_comes_back_when_the_server_closes_or_the_page_does(site: Example, windows: Windows) -> None:
    """JS-08, JS-13: a close of either side is followed by a new connection."""
    window = connected(windows, site)
    again = ["open", [{"hello": "/ws/chat/"}, None]]
    window.evaluate("bridge.send({bye: 4000})")
    hears(window, ["closed 4000", *again])
    window.evaluate("bridge.socket.close(4001)")
    hears(window, ["closed 4001", *again])
    window.evaluate("bridge.socket.close(4002, '', {fastClose: false})")
    hears(window, ["closed 4002", *again])


def test_keep_closed(site: Example, windows: Windows) -> None:
    """JS-13: with ``keepClosed`` there is no new connection; one that would have come much later has come."""
    window = connected(windows, site, pause=10)
    other = connected(windows, site, pause=500)
    sockets: list[str] = []
    window.on("websocket", lambda socket: sockets.append(socket.url))
    window.evaluate("bridge.socket.close(1000, 'done', {keepClosed: true})")
    other.evaluate("bridge.socket.close()")
    hears(other, ["closed 1000", "open", [{"hello": "/ws/chat/"}, None]])
    hears(window, ["closed 1000"])
    assert sockets == []
    assert window.evaluate("bridge.socket.readyState") == 3


def test_an_established_connection_outlives_the_time_limit_of_failed_attempts(site: Example, windows: Windows) -> None:
    """JS-11 (OB-31): after failed attempts the time limits of these close nothing."""
    window = windows.open(f"{site.url}/old/")
    site.stop()
    window.evaluate(
        """() => {
            window.heard = [];
            bridge.connect("/ws/limit/", undefined, {minReconnectionDelay: 50, connectionTimeout: 1500});
            bridge.socket.onopen = () => { heard.push("open"); setTimeout(() => heard.push("later"), 2000); };
            bridge.socket.onclose = () => heard.push("closed");
            bridge.socket.onerror = (error) => heard.push(error.code || "error");
        }"""
    )
    window.wait_for_function("heard.filter((line) => line === 'closed').length >= 2")
    site.start()
    window.wait_for_function("heard.includes('later')")
    assert window.evaluate("heard.slice(heard.indexOf('open'))") == ["open", "later"]
