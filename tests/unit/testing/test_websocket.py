"""The WebSocket client for tests, without Django: handshake, frames, path and headers as a server's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from routechan import Group, Message, route
from routechan.asgi.translation import connect_content
from routechan.exceptions import AnswerTimeout, InvalidContent
from routechan.testing import WSClient, fresh_layer

pytestmark = pytest.mark.usefixtures("without_channels")


@pytest.fixture(autouse=True)
def layer() -> Iterator[Any]:
    with fresh_layer() as made:
        yield made


def hello(message: Message) -> None:
    message.reply_channel.send({"text": "hello"})


def accept(message: Message) -> None:
    message.reply_channel.send({"accept": True})


def echo(message: Message) -> None:
    message.reply_channel.send({"text": message["text"]})


def test_a_socket_without_django() -> None:
    """TC-22 to TC-28 hold for a project without Django: handshake, JSON frames, path and headers as a server's."""
    seen = []

    def connect(message: Message) -> None:
        seen.append({key: message.get(key) for key in ("path", "query_string", "headers")})
        accept(message)

    client = WSClient([route("websocket.connect", connect, path="^/chat"), route("websocket.receive", echo)])
    client.set_header("Origin", "http://localhost")
    client.set_cookie("a", "1")
    client.send_and_consume("websocket.connect", path="/chat?room=1")
    assert seen[0]["path"] == "/chat"
    assert seen[0]["query_string"] == b"room=1"
    assert [list(header) for header in seen[0]["headers"]] == [[b"origin", b"http://localhost"], [b"cookie", b"a=1"]]
    client.send_and_consume("websocket.receive", text={"n": 1})
    assert client.receive() == {"n": 1}
    client.send_and_consume("websocket.receive", text="no JSON")
    assert client.receive(json=False) == "no JSON"


def test_a_connect_has_what_a_server_sends() -> None:
    """What a connect consumer may read of each handshake is there in a test, unless the test says otherwise."""
    seen: list[Message] = []

    def connect(message: Message) -> None:
        seen.append(message)
        accept(message)

    client = WSClient([route("websocket.connect", connect), route("websocket.receive", seen.append)])
    client.send_and_consume("websocket.connect", path="/chat")
    client.send_and_consume("websocket.connect", {"client": ["10.0.0.7", 1]}, path="/chat?room=1")
    client.send_and_consume("websocket.receive", path="/chat", text="hello")
    served = connect_content({"type": "websocket", "path": "/chat"}, client.reply_channel)
    assert served.keys() - seen[0].keys() == {"order"}, "which an ordered client counts"
    assert (seen[0]["query_string"], seen[0]["client"]) == (b"", ["127.0.0.1", 50000])
    assert (seen[1]["query_string"], seen[1]["client"]) == (b"room=1", ["10.0.0.7", 1])
    assert not {"query_string", "client"} & set(seen[2].keys())


async def test_a_socket_in_an_async_test() -> None:
    """TC-27: the check of the handshake, in both outcomes, for async tests."""
    client = WSClient([route("websocket.connect", accept), route("websocket.receive", echo)])
    await client.asend_and_consume("websocket.connect")
    await client.asend_and_consume("websocket.receive", text={"n": 1})
    assert await client.areceive() == {"n": 1}
    client = WSClient([route("websocket.connect", hello)])
    with pytest.raises(AssertionError, match="its first reply was {'text': 'hello'}"):
        await client.asend_and_consume("websocket.connect")
    await client.asend_and_consume("websocket.connect", check_accept=False)
    assert await client.areceive(json=False) == "hello"


def sends(*replies: Any) -> Any:
    """A consumer with these replies."""

    def consumer(message: Message) -> None:
        for reply in replies:
            message.reply_channel.send(reply)

    return consumer


async def asends(message: Message) -> None:
    await message.reply_channel.asend({"accept": True, "text": "hello"})


def streams(message: Message) -> Iterator[dict[str, Any]]:
    yield {"accept": True, "text": "hello"}


ACCEPTED: list[tuple[list[dict[str, Any]], list[Any]]] = [
    ([{"accept": True}], []),
    ([{"accept": 1}], []),
    ([{"accept": True, "text": "hello"}], ["hello"]),
    ([{"text": "hello", "accept": True}, {"text": "more"}], ["hello", "more"]),
    ([{"accept": True, "bytes": b"hello"}], [{"bytes": b"hello"}]),
    ([{"accept": True, "close": True}], [{"close": True}]),
    ([{"accept": True, "text": "hello", "close": 4000}], ["hello", {"close": 4000}]),
    ([{"accept": True, "bytes": b"hello", "close": 4000}], [{"bytes": b"hello", "close": 4000}]),
    ([{"accept": True, "text": "hello"}, {"close": True}], ["hello", {"close": True}]),
    ([{"accept": True, "type": "chat.line", "text": "hello"}], ["hello"]),
]


@pytest.mark.parametrize(("replies", "received"), ACCEPTED)
def test_what_accepts(replies: list[dict[str, Any]], received: list[Any]) -> None:
    """6.9: a socket is accepted by one key of its first reply; what else that holds is received next."""
    client = WSClient([route("websocket.connect", sends(*replies))])
    client.send_and_consume("websocket.connect")
    assert [client.receive(json=False) for _ in received] == received
    assert client.receive() is None


@pytest.mark.parametrize(("replies", "received"), ACCEPTED)
async def test_what_accepts_in_an_async_test(replies: list[dict[str, Any]], received: list[Any]) -> None:
    """The same through the twins."""
    client = WSClient([route("websocket.connect", sends(*replies))])
    await client.asend_and_consume("websocket.connect")
    assert [await client.areceive(json=False) for _ in received] == received
    assert await client.areceive() is None


@pytest.mark.parametrize("consumer", [asends, streams])
def test_every_kind_may_accept_and_greet(consumer: Any) -> None:
    """The greeting is read as JSON, or as a whole message."""
    client = WSClient([route("websocket.connect", consumer)])
    client.send_and_consume("websocket.connect")
    message = client.get_next_message(client.reply_channel)
    assert message is not None
    assert message.content == {"text": "hello"}
    assert client.get_next_message(client.reply_channel) is None


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([], "it sent nothing"),
        ([{}], "it sent nothing"),
        ([{"close": True}], "its first reply was {'close': True};"),
        ([{"accept": False, "text": "no"}], "its first reply was {'accept': False, 'text': 'no'};"),
        ([{"accept": None}], "its first reply was {'accept': None};"),
        ([{"accept": True, "txt": "hello"}], "which is refused: a reply to a WebSocket has the keys .* not 'txt'"),
        ([{"accept": True, "text": {"a": 1}}], "which is refused: 'text' has to be a str, not dict"),
        ([{"accept": True, "text": "a", "bytes": b"b"}], "which is refused: a reply has 'text' or 'bytes', not both"),
    ],
)
def test_what_does_not_accept(replies: list[dict[str, Any]], expected: str) -> None:
    """It is told with what came, and why a server would refuse it."""
    client = WSClient([route("websocket.connect", sends(*replies))])
    with pytest.raises(AssertionError, match=expected):
        client.send_and_consume("websocket.connect")


def test_a_close_beside_the_text() -> None:
    """6.9: data is sent, then the socket is closed; a test sees both."""
    client = WSClient([route("websocket.receive", sends({"text": "goodbye", "close": 4002}))])
    client.send_and_consume("websocket.receive", text="x")
    assert client.receive(json=False) == "goodbye"
    assert client.receive() == {"close": 4002}
    assert client.receive() is None


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"message": "hello"}, "refuses it: a reply to a WebSocket has the keys .* not 'message'"),
        (
            {"type": "chat.line", "message": "hello"},
            "refuses it: it has 'type', 'message', as an event",
        ),
        ({"text": {"a": 1}, "message": 1}, "refuses it: a reply to a WebSocket has the keys .* not 'message'"),
        ({"text": b"a"}, "refuses it: 'text' has to be a str, not bytes; for bytes use 'bytes'"),
        ({"close": "4000"}, "refuses it: 'close' is True or a close code"),
    ],
)
def test_a_reply_that_no_socket_takes(reply: dict[str, Any], expected: str) -> None:
    """Is told to the test that receives it, from the consumer itself and from a group."""
    client = WSClient([route("websocket.receive", sends(reply))])
    client.send_and_consume("websocket.receive", text="x")
    with pytest.raises(AssertionError, match=expected):
        client.receive()
    client.join_group("room")
    Group("room").send(reply)
    with pytest.raises(AssertionError, match=expected):
        client.receive()


def test_what_is_no_socket_is_sent_anything() -> None:
    """A client of requests, or of a channel of the project's own, receives what comes."""
    client = WSClient([route("work", sends({"result": 1})), route("http.request", sends({"status": 200}))])
    client.send_and_consume("work")
    client.send_and_consume("http.request")
    assert [client.receive(), client.receive()] == [{"result": 1}, {"status": 200}]


def test_a_text_that_is_no_json() -> None:
    """The error shows it, and says how to read it."""
    client = WSClient([route("websocket.receive", sends({"text": "hi"}))])
    client.send_and_consume("websocket.receive", text="x")
    with pytest.raises(ValueError, match=r"'hi' is no JSON \(Expecting .*\); read it with receive\(json=False\)"):
        client.receive()


# Questions


def talks(message: Message) -> None:
    """Answers a question, or asks what a message says, and sends the answer."""
    message.reply_channel.send({"text": "before"})
    if message.get("text") == "silent":
        return
    if "question_number" in message:
        message.answer({"text": "answered " + message["text"]} if "text" in message else {"bytes": message["bytes"]})
    else:
        try:
            message.reply_channel.send(message.reply_channel.ask({"text": message["text"]}))
        except AnswerTimeout:
            message.reply_channel.send({"text": "too late"})


async def atalks(message: Message) -> None:
    if "question_number" in message:
        talks(message)
    else:
        message.reply_channel.send(await message.reply_channel.aask({"text": message["text"]}))


def test_the_client_asks() -> None:
    """The answer comes back; what was sent before it is received as ever; no answer is an error of the test."""
    client = WSClient([route("websocket.receive", talks)])
    assert client.ask(text="who?") == {"text": "answered who?"}
    assert client.ask({"bytes": b"\x00"}) == {"bytes": b"\x00"}
    assert [client.receive(json=False) for _ in range(3)] == ["before", "before", None]
    with pytest.raises(AssertionError, match="not answered the question: Its consumer has ended without an answer"):
        client.ask(text="silent")
    client.send("websocket.receive", {"question_number": 9}, "later")
    client.consume("websocket.receive")
    assert [client.receive(json=False) for _ in range(3)] == ["before", "before", None]


def test_the_client_is_asked() -> None:
    """``when_asked`` answers, and what it raises is raised where it was asked."""
    client = WSClient([route("websocket.receive", talks)])

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        if question["text"] == "time out":
            raise AnswerTimeout("channel", "none has come")
        return {"text": question["text"] + " yes"}

    client.when_asked = answer
    for text, reply in (("sure?", "sure? yes"), ("time out", "too late")):
        client.send_and_consume("websocket.receive", text=text)
        assert [client.receive(json=False) for _ in range(3)] == ["before", reply, None]
    client.when_asked = None
    with pytest.raises(
        AssertionError, match="a consumer has asked the client {'text': 'sure\\?'}; say what it answers"
    ):
        client.send_and_consume("websocket.receive", text="sure?")
    client.when_asked = lambda question: {"json": 1}
    with pytest.raises(InvalidContent, match="an answer is a dict with 'text'"):
        client.send_and_consume("websocket.receive", text="sure?")


async def test_questions_in_async_tests() -> None:
    """The twins, and async consumers."""
    client = WSClient([route("websocket.receive", atalks)])
    client.when_asked = lambda question: {"text": "yes"}
    assert await client.aask(text="who?") == {"text": "answered who?"}
    await client.asend_and_consume("websocket.receive", text="sure?")
    assert [await client.areceive(json=False) for _ in range(3)] == ["before", "yes", None]
