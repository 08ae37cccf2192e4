"""What the tests of decorators share: consumers of every kind, messages, and the database queries they cost."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper

from routechan import Message
from routechan.kinds import Kind

_numbers = itertools.count()


def new_reply_channel() -> str:
    """A name no other test has: what sessions hold stays in the database."""
    return f"websocket.send.test!{next(_numbers)}"


def message(
    content: dict[str, Any] | None = None, channel: str = "websocket.receive", layer: Any = None, **more: Any
) -> Message:
    """A message of a connection; give the same ``reply_channel`` for the same one."""
    return Message({"reply_channel": new_reply_channel(), **(content or {}), **more}, channel, layer)


def consumer_of(kind: Kind, act: Callable[..., Any]) -> Callable[..., Any]:
    """A consumer of this kind that does ``act(message, **kwargs)``, and where it can returns what that does."""

    def plain(message: Message, **kwargs: Any) -> Any:
        return act(message, **kwargs)

    async def coroutine(message: Message, **kwargs: Any) -> Any:
        return act(message, **kwargs)

    def stream(message: Message, **kwargs: Any) -> Any:
        yield act(message, **kwargs)

    async def async_stream(message: Message, **kwargs: Any) -> Any:
        yield act(message, **kwargs)

    return {Kind.PLAIN: plain, Kind.ASYNC: coroutine, Kind.STREAM: stream, Kind.ASYNC_STREAM: async_stream}[kind]


def run(consumer: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a consumer of any kind and run it to its end: what it returned, or a list of what it yielded."""
    result = consumer(*args, **kwargs)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isgenerator(result):
        return list(result)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [item async for item in result]

        return asyncio.run(collect())
    return result


def elsewhere(function: Callable[..., Any], *args: Any) -> None:
    """Do something at the same time on another thread, and wait for it; also where the event loop runs."""

    def work() -> None:
        try:
            function(*args)
        finally:
            if connection.connection is not None:
                connection.connection.close()  # Django's own close keeps databases in memory

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries of all threads, as ``SELECT django_session``; transactions are left out."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def spy(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        found = re.match(r"(SELECT|INSERT|UPDATE|DELETE)\b.*?\"((?:django|auth)_\w+)\"", sql)
        if found:
            seen.append(f"{found[1]} {found[2]}")
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", spy)
    return seen
