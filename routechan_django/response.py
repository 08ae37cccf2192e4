"""From a Django response to the messages of a reply channel (``consumer-api`` 6.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from django.http.response import HttpResponseBase

from routechan.concurrency import refuse_on_loop
from routechan.encoding import Content

#: Bytes of a body -> its chunks, each with whether it is the last.
Chunks = Callable[[bytes], Iterable[tuple[bytes, bool]]]


def response_messages(response: HttpResponseBase, chunk_bytes: Chunks) -> Generator[Content, None, None]:
    """The messages that carry ``response``, in order (HT-33).

    Args:
        response: Any response; one with an async iterator needs a thread without an event loop.
        chunk_bytes: Splits bytes into chunks of the size of one message.

    Yields:
        ``{"status", "headers", "content", "more_content"}``; all after the first without status and headers, and the
        last one of a stream without content.
    """
    first: Content = {"status": response.status_code, "headers": response_headers(response)}
    if not response.streaming:
        for chunk, is_last in chunk_bytes(response.content):  # type: ignore[attr-defined]
            yield {**first, "content": chunk, "more_content": not is_last}
            first = {}
        return
    for part in _parts(response):
        for chunk, _ in chunk_bytes(part):
            # Whether a further part comes is not known yet, so a message without content ends the stream.
            yield {**first, "content": chunk, "more_content": True}
            first = {}
    yield {**first, "more_content": False}


async def aresponse_messages(response: Any, chunk_bytes: Chunks) -> AsyncGenerator[Content, None]:
    """``response_messages`` for an event loop.

    Args:
        response: Any response, with a plain or an async iterator.
        chunk_bytes: Splits bytes into chunks of the size of one message.

    Yields:
        The same messages.
    """
    if not getattr(response, "is_async", False):
        for message in response_messages(response, chunk_bytes):
            yield message
        return
    first: Content = {"status": response.status_code, "headers": response_headers(response)}
    async with aclosing(response.streaming_content) as parts:
        async for part in parts:
            for chunk, _ in chunk_bytes(part):
                yield {**first, "content": chunk, "more_content": True}
                first = {}
    yield {**first, "more_content": False}


def response_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    """The headers of ``response`` as pairs of bytes, cookies last; Python writes these with a leading space (HT-34)."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    cookies = (cookie.output(header="").encode("ascii") for cookie in response.cookies.values())
    return [*headers, *((b"Set-Cookie", cookie) for cookie in cookies)]


def _parts(response: Any) -> Iterator[bytes]:
    if getattr(response, "is_async", False):
        return _iterate(response.streaming_content)
    return iter(response)


def _iterate(parts: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The items of an async iterator one by one, for a thread without an event loop.

    Django would collect all of them first, which fails for an endless iterator. All items come from one loop, because
    what the iterator holds belongs to a loop; it runs while an item is awaited.
    """
    refuse_on_loop("encode_response of an async iterator", "AsgiHandler.aencode_response(response)")

    async def step() -> bytes | None:
        return await anext(parts, None)

    loop = asyncio.new_event_loop()
    try:
        while (part := loop.run_until_complete(step())) is not None:
            yield part
    finally:
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
