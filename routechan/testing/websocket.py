"""A client with what a WebSocket has: path, headers, cookies, JSON frames, order, a handshake."""

from __future__ import annotations

import copy
import json
from http.cookies import SimpleCookie
from typing import Any

from ..encoding import Content
from ..exceptions import DenyConnection
from ..layers import DEFAULT_CHANNEL_LAYER
from .client import Client

#: What has text as JSON unless it is text.
Text = Any


class HandshakeFailed(AssertionError, DenyConnection):
    """A connect consumer did not accept. Tests written for 1.x expect ``DenyConnection`` here, others an assertion."""


class WSClient(Client):
    """``WSClient(routing, ordered=False, alias="default")``: plays one WebSocket. Lifetime: test.

    ``headers`` holds what ``set_header`` was given and the cookies, as a dict; consumers get a list, as from a server.
    """

    def __init__(self, routing: Any, *, ordered: bool = False, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        super().__init__(routing, alias)
        self._open(ordered)

    def _open(self, ordered: bool) -> None:
        self.ordered = ordered
        self.order = 0
        self._headers: dict[str, bytes] = {}
        self._cookies: dict[str, str] = {}
        self._sent_any = False

    def set_cookie(self, key: str, value: str) -> None:
        """A cookie of the handshake (TC-19)."""
        self._cookies[key] = value

    def get_cookies(self) -> dict[str, str]:
        """The cookies that the next message carries."""
        return dict(self._cookies)

    def set_header(self, key: str, value: str | bytes) -> None:
        """A header of the handshake (TC-20); for a cookie there is ``set_cookie``."""
        if key.lower() == "cookie":
            raise ValueError("the cookie header is made from the cookies; use client.set_cookie(key, value)")
        self._headers[key] = value.encode("latin-1") if isinstance(value, str) else value

    @property
    def headers(self) -> dict[str, bytes]:
        """The headers, and the cookies as ``cookie``."""
        cookies = SimpleCookie(self.get_cookies()).output(header="", sep=";").strip()
        return {**self._headers, **({"cookie": cookies.encode("latin-1")} if cookies else {})}

    def _get_content(self, content: Content | None = None, text: Text = None, path: str = "/") -> Content:
        """What is sent: keys of ``content`` win over the arguments (TC-22)."""
        content = copy.deepcopy(content) if content else {}
        content.setdefault("reply_channel", self.reply_channel)
        content.setdefault("path", path)
        content.setdefault("headers", [[key.lower().encode("latin-1"), value] for key, value in self.headers.items()])
        if "?" in content["path"]:
            content["path"], _, query = content["path"].partition("?")
            content.setdefault("query_string", query.encode())
        text = text or content.get("text")
        if text is not None:
            content["text"] = text if isinstance(text, str) else json.dumps(text)
        if self.ordered:
            if "order" in content:
                raise ValueError("an ordered client counts itself; set client.order instead of the key 'order'")
            content["order"] = self.order
        return content

    def send(self, to: str, content: Content | None = None, text: Text = None, path: str = "/") -> None:
        """Send a message with path, headers and, encoded as JSON unless it is a str, ``text`` (TC-22 to TC-25)."""
        content = self._get_content(content, text, path)
        if to != "websocket.connect":
            content.pop("query_string", None)
        self.channel_layer.send(to, content)
        if self.ordered:
            self.order += 1
        self._sent_any = True

    def receive(self, json: bool = True) -> Any:
        """The next reply: its ``text``, decoded from JSON unless told otherwise, or all of it without text (TC-26)."""
        content = super().receive()
        if not content:
            return None
        if "text" not in content:
            return content
        text = content["text"]
        return _decoded(text) if json and isinstance(text, str) else text

    def consume(
        self, channel: str, fail_on_none: bool = True, check_accept: bool = True, *, steps: int | None = None
    ) -> Any:
        """As ``Client.consume``. After ``websocket.connect`` the next reply must be ``{"accept": True}`` and is taken.

        If it is not: an ``AssertionError`` that is a ``DenyConnection`` too, unless ``check_accept`` is False (TC-27).
        """
        result = super().consume(channel, fail_on_none, steps=steps)
        if channel == "websocket.connect" and check_accept:
            _check_accepted(super().receive())
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
        """``send``, then ``consume`` (TC-28)."""
        self.send(channel, content, text, path)
        return self.consume(channel, fail_on_none, check_accept, steps=steps)

    # For async tests

    async def asend(self, to: str, content: Content | None = None, text: Text = None, path: str = "/") -> None:
        """``send`` for async tests."""
        await self._run_sync(self.send, to, content, text, path)

    async def areceive(self, json: bool = True) -> Any:
        """``receive`` for async tests."""
        return await self._run_sync(self.receive, json)

    async def aconsume(
        self, channel: str, fail_on_none: bool = True, check_accept: bool = True, *, steps: int | None = None
    ) -> Any:
        """``consume`` for async tests."""
        result = await super().aconsume(channel, fail_on_none, steps=steps)
        if channel == "websocket.connect" and check_accept:
            _check_accepted(await self._run_sync(super().receive))
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
        """``send_and_consume`` for async tests."""
        await self.asend(channel, content, text, path)
        return await self.aconsume(channel, fail_on_none, check_accept, steps=steps)


def _decoded(text: str) -> Any:
    return json.loads(text)


def _check_accepted(reply: Content | None) -> None:
    if reply != {"accept": True}:
        came = "it sent nothing" if reply is None else f"its first reply was {reply!r:.200}"
        raise HandshakeFailed(
            f'the consumer of websocket.connect did not answer {{"accept": True}}: {came}; if that is right, '
            "consume with check_accept=False"
        )
