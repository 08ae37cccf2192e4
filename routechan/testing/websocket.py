"""The test client for WebSockets: path, headers, cookies, JSON frames, order and handshake."""

from __future__ import annotations

import copy
import json
from collections import deque
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

from ..asgi.translation import socket_reply
from ..encoding import Content
from ..exceptions import DenyConnection, InvalidContent
from ..interfaces import ANSWER, NO, QUESTION
from ..layers import DEFAULT_CHANNEL_LAYER
from ..layers.base import Delivery
from ..sending.asking import check_body, stand_ins
from .client import Client

#: A value to send as text: a str as it is, anything else as JSON.
Text = Any

#: What a server says in each ``websocket.connect``, unless the test says something else.
HANDSHAKE: Content = {
    "root_path": "",
    "scheme": "ws",
    "query_string": b"",
    "client": ["127.0.0.1", 50000],
    "server": ["testserver", 80],
}


class HandshakeFailed(AssertionError, DenyConnection):
    """A connect consumer did not accept; also a ``DenyConnection``, which tests written for 1.x expect."""


class WSClient(Client):
    """Plays one WebSocket in a test. Lifetime: test.

    Args:
        routing: A routing list, or whatever else ``include`` takes.
        ordered: Whether each message gets the next ``order``, counted from 0 as a server does.
        alias: The layer to use, usually a ``fresh_layer``.
    """

    #: Whether ``_get_content`` gives a dict of headers and a query string of text. Tests of 1.x look at these, and the
    #: old import names set it; what consumers get is the same.
    _content_of_1x = False

    def __init__(self, routing: Any, *, ordered: bool = False, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        super().__init__(routing, alias)
        self._open(ordered)

    def _open(self, ordered: bool) -> None:
        self.ordered = ordered
        self.order = 0
        self._headers: dict[str, bytes] = {}
        self._cookies: dict[str, str] = {}
        self._kept: deque[Delivery] = deque()  # replies that came before an answer, for ``receive``
        self._answers: dict[int, Content] = {}
        self._questions = 0  # how many this client has asked
        #: Answers what a consumer asks this client: called with the question, a dict with ``text`` or ``bytes``. It
        #: returns the answer, likewise; what it raises, such as ``AnswerTimeout``, is raised where it was asked.
        self.when_asked: Callable[[Content], Content] | None = None
        stand_ins[self.reply_channel] = self
        self._is_socket = False  # or what has sent requests and messages of the project only
        self._rest: Content = {}  # what the reply that was looked at last holds besides

    def set_cookie(self, key: str, value: str) -> None:
        """Set the cookie ``key`` of the handshake to ``value`` (TC-19)."""
        self._cookies[key] = value

    def get_cookies(self) -> dict[str, str]:
        """The cookies that the next message carries."""
        return dict(self._cookies)

    def set_header(self, key: str, value: str | bytes) -> None:
        """Set the header ``key`` of the handshake to ``value`` (TC-20).

        Raises:
            ValueError: The header is ``cookie``; use ``set_cookie``.
        """
        if key.lower() == "cookie":
            raise ValueError("the cookie header is made from the cookies; use client.set_cookie(key, value)")
        self._headers[key] = _as_bytes(value)

    @property
    def headers(self) -> dict[str, bytes]:
        """The headers of the handshake, and its cookies as ``cookie``; consumers get a list, as from a server."""
        cookies = SimpleCookie(self.get_cookies()).output(header="", sep=";").strip()
        return {**self._headers, **({"cookie": cookies.encode("latin-1")} if cookies else {})}

    def _get_content(self, content: Content | None = None, text: Text = None, path: str = "/") -> Content:
        """The message to send: keys of ``content`` take precedence over the arguments (TC-22).

        Headers and query string are what a server sends, unless ``_content_of_1x``.
        """
        given, content = content or {}, copy.deepcopy(content) if content else {}
        content.setdefault("reply_channel", self.reply_channel)
        content.setdefault("path", path)
        content.setdefault("headers", self.headers)
        if "?" in content["path"]:
            content["path"], _, query = content["path"].partition("?")
            content.setdefault("query_string", query)
        text = text or content.get("text")
        if text is not None:
            content["text"] = text if isinstance(text, str) else json.dumps(text)
        if self.ordered:
            if "order" in content:
                raise ValueError("an ordered client counts itself; set client.order instead of the key 'order'")
            content["order"] = self.order
        return content if self._content_of_1x else _as_from_a_server(content, given)

    def send(self, to: str, content: Content | None = None, text: Text = None, path: str = "/") -> None:
        """Send a message with the handshake's headers (TC-22 to TC-25).

        A ``websocket.connect`` has what a server's has: a query string, if only an empty one, an address and so on.

        Args:
            to: The channel.
            content: Keys of the message; they take precedence over the other arguments.
            text: The text to send; encoded as JSON unless it is a str.
            path: The path of the WebSocket, with its query string if there is one.
        """
        made = self._get_content(content, text, path)
        if to == "websocket.connect":
            made = {**HANDSHAKE, **made}
        else:
            made.pop("query_string", None)
        self.channel_layer.send(to, _as_from_a_server(made, content or {}))
        if self.ordered:
            self.order += 1
        self._is_socket = self._is_socket or to.startswith("websocket.")

    def _receive(self, channel: str) -> Delivery | None:
        if channel != self.reply_channel:
            return super()._receive(channel)
        if self._rest:
            rest, self._rest = self._rest, {}
            return Delivery(channel, rest, {})
        return self._kept.popleft() if self._kept else self._next_reply()

    def _next_reply(self) -> Delivery | None:
        """The next reply that is no answer; answers are kept."""
        while (delivery := super()._receive(self.reply_channel)) is not None and ANSWER in delivery.content:
            self._answers[delivery.content[ANSWER]] = delivery.content
        return delivery

    # Questions

    def answer_to(self, question: Content) -> Content:
        """The answer of ``when_asked`` to ``question``, which a consumer asks this client.

        Raises:
            AssertionError: There is no ``when_asked``.
        """
        if self.when_asked is None:
            raise AssertionError(
                f"a consumer has asked the client {question!r:.200}; say what it answers, such as "
                'client.when_asked = lambda question: {"text": "yes"}'
            )
        answer = self.when_asked(question)
        check_body("an answer", answer)
        return answer

    def ask(self, content: Content | None = None, text: Text = None, path: str = "/") -> Content:
        """Ask a question with a message on ``websocket.receive``, and run its consumer.

        Args:
            content: Keys of the message, such as ``bytes``; they take precedence over the other arguments.
            text: The text of the question; encoded as JSON unless it is a str.
            path: The path of the WebSocket.

        Returns:
            The answer, a dict with ``text`` or ``bytes``. Replies that were sent before it are left to ``receive``.

        Raises:
            AssertionError: The consumer has not answered.
        """
        number = self._next_question()
        self.send_and_consume("websocket.receive", {**(content or {}), QUESTION: number}, text, path)
        return self._answer(number)

    async def aask(self, content: Content | None = None, text: Text = None, path: str = "/") -> Content:
        """``ask`` for async tests, with ``content``, ``text`` and ``path``.

        Returns:
            The answer.
        """
        number = self._next_question()
        await self.asend_and_consume("websocket.receive", {**(content or {}), QUESTION: number}, text, path)
        answer: Content = await self._run_sync(self._answer, number)
        return answer

    def _next_question(self) -> int:
        self._questions += 1
        return self._questions

    def _answer(self, number: int) -> Content:
        while number not in self._answers:
            delivery = self._next_reply()
            if delivery is None:
                break
            self._kept.append(delivery)
        answer = self._answers.pop(number, {NO: "it has not called message.answer(...)"})
        if NO in answer:
            raise AssertionError(f"the consumer has not answered the question: {answer[NO]}")
        return {key: value for key, value in answer.items() if key != ANSWER}

    def receive(self, json: bool = True) -> Any:
        """The next reply: its ``text``, or the whole dict if it has none; None without a reply (TC-26).

        A ``close`` beside the text is the next reply, as a client sees it.

        Args:
            json: Whether to decode the text as JSON.

        Raises:
            AssertionError: The reply is nothing that a socket takes.
        """
        content = super().receive()
        if not content:
            return None
        if self._is_socket:
            _check_reply(content)
        if "text" not in content:
            return content
        text = content["text"]
        if content.get("close"):
            self._rest = {"close": content["close"]}
        return _decoded(text) if json and isinstance(text, str) else text

    def consume(
        self, channel: str, fail_on_none: bool = True, check_accept: bool = True, *, steps: int | None = None
    ) -> Any:
        """Run the consumer of the next message on a channel (TC-27).

        After ``websocket.connect`` the next reply must have ``"accept": True``, which is taken; what it has besides is
        the next reply. Otherwise this raises ``HandshakeFailed``, an ``AssertionError`` and a ``DenyConnection``.

        Args:
            channel: The channel.
            fail_on_none: Whether to fail if there is no message, or no route takes it.
            check_accept: Whether to check that the handshake was accepted.
            steps: The number of yields after which a stream is closed; None to let it end by itself.

        Returns:
            What the consumer returned; None if nothing was run.
        """
        result = super().consume(channel, fail_on_none, steps=steps)
        if channel == "websocket.connect" and check_accept:
            self._rest = _without_accept(super().receive())
        return result

    def send_and_consume(  # type: ignore[override]  # the order of 1.x
        self,
        channel: str,
        content: Content | None = None,
        text: Text = None,
        path: str = "/",
        fail_on_none: bool = True,
        check_accept: bool = True,
        *,
        steps: int | None = None,
    ) -> Any:
        """Call ``send`` with ``channel``, ``content``, ``text`` and ``path``, then ``consume`` (TC-28).

        Returns:
            What ``consume`` returns, which ``fail_on_none``, ``check_accept`` and ``steps`` are for.
        """
        self.send(channel, content, text, path)
        return self.consume(channel, fail_on_none, check_accept, steps=steps)

    # For async tests

    async def asend(self, to: str, content: Content | None = None, text: Text = None, path: str = "/") -> None:
        """Send ``content``, ``text`` and ``path`` to the channel ``to``; see ``send``."""
        await self._run_sync(self.send, to, content, text, path)

    async def areceive(self, json: bool = True) -> Any:
        """The next reply, with its text decoded if ``json`` is true; see ``receive``."""
        return await self._run_sync(self.receive, json)

    async def aconsume(
        self, channel: str, fail_on_none: bool = True, check_accept: bool = True, *, steps: int | None = None
    ) -> Any:
        """Run the consumer of the next message on ``channel``, an async one on the test's own event loop.

        Returns:
            What ``consume`` returns, which ``fail_on_none``, ``check_accept`` and ``steps`` are for.
        """
        result = await super().aconsume(channel, fail_on_none, steps=steps)
        if channel == "websocket.connect" and check_accept:
            self._rest = _without_accept(await self._run_sync(super().receive))
        return result

    async def asend_and_consume(  # type: ignore[override]
        self,
        channel: str,
        content: Content | None = None,
        text: Text = None,
        path: str = "/",
        fail_on_none: bool = True,
        check_accept: bool = True,
        *,
        steps: int | None = None,
    ) -> Any:
        """Call ``asend`` with ``channel``, ``content``, ``text`` and ``path``, then ``aconsume``.

        Returns:
            What ``consume`` returns, which ``fail_on_none``, ``check_accept`` and ``steps`` are for.
        """
        await self.asend(channel, content, text, path)
        return await self.aconsume(channel, fail_on_none, check_accept, steps=steps)


def _as_from_a_server(made: Content, given: Content) -> Content:
    """The message ``made`` with headers and query string as a server sends them, unless the test has ``given`` them."""
    if "headers" not in given and isinstance(made.get("headers"), dict):
        headers = [[_as_bytes(key.lower()), _as_bytes(value)] for key, value in made["headers"].items()]
        made = {**made, "headers": headers}
    if "query_string" not in given and isinstance(made.get("query_string"), str):
        made = {**made, "query_string": made["query_string"].encode()}
    return made


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"the text {text!r:.200} is no JSON ({error}); read it with receive(json=False)") from None


def _without_accept(reply: Content | None) -> Content:
    """What a connect consumer's first reply holds beside ``"accept": True``."""
    came, accept = "it sent nothing", None
    if reply:
        came = f"its first reply was {reply!r:.200}"
        try:
            accept = socket_reply(reply)[0]
        except InvalidContent as error:
            came = f"{came}, which is refused: {error}"
    if reply and accept:
        return {key: value for key, value in reply.items() if key != "accept"}
    raise HandshakeFailed(
        f'the consumer of websocket.connect did not answer {{"accept": True}}: {came}; if that is right, '
        "consume with check_accept=False"
    )


def _check_reply(content: Content) -> None:
    """Refuse what a WebSocket refuses, but for a text that is no str, which tests of 1.x send (TC-26)."""
    text = content.get("text")
    readable = text is None or isinstance(text, (str, bytes, bytearray))
    try:
        socket_reply(content if readable else {**content, "text": "x"})
    except InvalidContent as error:
        raise AssertionError(
            f"the reply {content!r:.200} was sent to a WebSocket, which refuses it: {error}"
        ) from error
