"""What pages post to their event streams: found in whichever process has the stream, and answered.

An event stream goes one way, so each is given an address at which its page posts what a socket would send. A proxy may
bring the request to another process of the site; from there it crosses the layer, and so does the answer. The address
names the process, and holds a secret that nobody but the page is told.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import sys
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

from .. import names
from ..concurrency import maybe_await
from ..encoding import Content
from ..exceptions import ChannelLayerUnavailable, InvalidName
from ..layers.base import BaseChannelLayer
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats
from .body import read_body
from .options import ServerOptions
from .origin import Origins, readable
from .refusals import refuse
from .reply_channels import ReplyChannels
from .telling import Telling
from .translation import Event, Scope
from .writer import Receive, Send

logger = logging.getLogger("routechan")

#: How the query string of an address begins.
QUERY = b"routechan-stream="

#: Letters of the secret in an address: 125 bits.
SECRET_LENGTH = 22

#: Seconds that the process of a stream may take to answer.
ANSWER_TIMEOUT = 5.0

#: What follows ``QUERY``: the channel of the process that has the stream, and the secret.
_ADDRESS = re.compile(rf"(http\.post\.[a-zA-Z0-9\-_.]+![a-zA-Z]{{10}})~([a-zA-Z]{{{SECRET_LENGTH}}})").fullmatch

_PREFIX = "http.post"

_BYTES = ("", "application/octet-stream")


class Stream(Protocol):
    """An event stream, as what is posted to it sees it."""

    def posted(self, event: Event) -> bool:
        """Take a message.

        Args:
            event: The message, as ``websocket.receive``.

        Returns:
            False where too many wait already.
        """

    def restart(self) -> None:
        """End, because the server stops; the page is asked to connect again."""


class Answer(NamedTuple):
    """What a page is told of its post: an HTTP ``status`` and a ``text``."""

    status: int
    text: str = ""


TAKEN = Answer(204)
GONE = Answer(410, "There is no such stream any more; open a new one.")
TOO_FAST = Answer(429, "Earlier messages of this stream are still to be read; post this one again later.")
UNANSWERED = Answer(503, "Whether the message was taken is not known: the server of this stream has not answered.")


class Posts:
    """The event streams of a server by their secrets, and its way to those of others. Lifetime: that of the server.

    Args:
        layer: Carries messages between the processes of a site.
        options: ``frame_bytes`` and ``http_timeout`` bound a post.
        origins: Whose pages may post.
        repeats: What is logged about clients.
    """

    def __init__(self, layer: BaseChannelLayer, options: ServerOptions, origins: Origins, repeats: Repeats) -> None:
        self._layer = layer
        self._options = options
        self._origins = origins
        self._repeats = repeats
        self._streams: dict[str, Stream] = {}
        self._channels: ReplyChannels[Content] | None = None  # a site without event streams has no queue for them
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._telling = Telling(layer, repeats, "A page is not told whether its stream has taken a message")
        #: Whether the process is to stop.
        self.stopping = False

    def add(self, stream: Stream) -> str:
        """A new secret of ``stream``, which takes what is posted to its address from now on."""
        self._attach()
        secret = names.random_part(SECRET_LENGTH)
        self._streams[secret] = stream
        return secret

    def remove(self, secret: str) -> None:
        """Forget the stream with this ``secret``."""
        self._streams.pop(secret, None)

    def address(self, secret: str) -> str:
        """Where the page of the stream with this ``secret`` posts, relative to the URL that it opened."""
        return f"?{QUERY.decode()}{self._posts_to}~{secret}"

    def end_streams(self) -> None:
        """End all streams: ASGI servers that stop wait for them, as for any response."""
        self.stopping = True
        loop, drain_time = asyncio.get_running_loop(), self._options.drain_time
        for secret in tuple(self._streams):
            if drain_time:
                loop.call_later(drain_time * random.random(), self._restart, secret)
            else:
                self._restart(secret)

    def _restart(self, secret: str) -> None:
        stream = self._streams.get(secret)
        if stream is not None:
            stream.restart()

    async def detach(self) -> None:
        """Give the channels back; raises ``ChannelLayerUnavailable`` where the layer cannot be told."""
        self._telling.stop()
        if self._channels is not None:
            await self._channels.detach()

    async def serve(self, head: Content, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of a page that posts to its stream.

        Args:
            head: What ``request_head`` says of it.
            scope: Its ASGI scope.
            receive: Its ASGI ``receive``.
            send: Its ASGI ``send``.
        """
        answer = await self._answer(head, scope, receive)
        if answer is None:
            return
        headers = [(b"cache-control", b"no-store")]
        if answer.status != 403:
            headers += readable(head["headers"])
        body = answer.text.encode()
        if body:
            headers += [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        if answer.status in (429, 503):
            headers.append((b"retry-after", b"1"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, head: Content, scope: Scope, receive: Receive) -> Answer | None:
        """What the page is told; None where it has left."""
        refusal = self._origins.refusal(head["headers"], secure=head["scheme"] in ("wss", "https"))
        if refusal is not None:
            more = self._repeats.more(("post", "origin"))
            if more is not None:
                logger.warning(
                    "A message to an event stream of %r is refused: %s%s",
                    head["path"],
                    refusal,
                    more,
                    extra=log_fields("websocket.receive", head),
                )
            return Answer(403, refusal if self._options.debug else "This page may not post here.")
        query = scope.get("query_string") or b""
        found = _ADDRESS(unquote_to_bytes(query[len(QUERY) :].partition(b"&")[0]).decode("latin-1"))
        if found is None:
            return GONE
        most = sys.maxsize if self._options.frame_bytes is None else self._options.frame_bytes
        try:
            body = await asyncio.wait_for(read_body(receive, most), self._options.http_timeout)
        except asyncio.TimeoutError:
            return Answer(408, "The message did not arrive in time.")
        if body is None:
            return None
        if len(body.content) > most:
            return self._too_large(head, most)
        try:
            message = _message(head["headers"], body.content)
        except UnicodeDecodeError as error:
            return Answer(400, f"This is no UTF-8 ({error.reason}); post bytes as application/octet-stream.")
        return await self._carried(head, found[1], {"secret": found[2], **message})

    def _too_large(self, head: Content, most: int) -> Answer:
        counters.limited["frame_bytes"] += 1
        more = self._repeats.more(("post", "frame_bytes"))
        if more is not None:
            logger.warning(
                "A message to an event stream of %r is answered with 413: it is larger than %d bytes (FRAME_BYTES)%s",
                head["path"],
                most,
                more,
                extra=log_fields("websocket.receive", head),
            )
        return Answer(413, f"The message is larger than {most} bytes.")

    async def _carried(self, head: Content, channel: str, content: Content) -> Answer:
        """Bring ``content`` to the process that reads ``channel``, and its answer back."""
        self._attach()
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await maybe_await(self._layer.post(channel, {**content, "answer": [self._answers_to, number]}))
            return await asyncio.wait_for(answer, ANSWER_TIMEOUT)
        except asyncio.TimeoutError:
            return UNANSWERED if await self._may_live(channel) else GONE
        except InvalidName:  # of another layer, where no stream of this site is
            return GONE
        except Exception as error:  # of whatever class: a layer of another make has errors of its own
            refusal = refuse(self._layer, "http.post", head, error, self._repeats)
            return Answer(refusal.status, refusal.text)
        finally:
            del self._answers[number]

    async def _may_live(self, channel: str) -> bool:
        """Whether the process of ``channel`` may be there still."""
        try:
            return await asyncio.wait_for(self._layer.is_served(channel), ANSWER_TIMEOUT)
        except (asyncio.TimeoutError, ChannelLayerUnavailable):
            return True

    def _attach(self) -> None:
        if self._channels is None:
            channels = self._channels = ReplyChannels(_PREFIX, _as_it_is, self._layer)
            channels.attach()
            self._posts_to = channels.channel(self._take)
            self._answers_to = channels.channel(self._answered)

    def _take(self, content: Content) -> None:
        """Take what was posted, here or in another process, to a stream of this one."""
        stream = self._streams.get(content["secret"])
        event: Event = {"type": "websocket.receive", "text": content.get("text"), "bytes": content.get("bytes")}
        answer = GONE if stream is None else TAKEN if stream.posted(event) else TOO_FAST
        channel, number = content["answer"]
        self._telling.tell(channel, {"number": number, "answer": [*answer]})

    def _answered(self, content: Content) -> None:
        answer = self._answers.get(content["number"])
        if answer is not None and not answer.done():
            answer.set_result(Answer(*content["answer"]))


def is_post(scope: Scope) -> bool:
    """Whether the request of this ``scope`` is to the address of an event stream."""
    return scope["method"] == "POST" and (scope.get("query_string") or b"").startswith(QUERY)


def _message(headers: Sequence[Sequence[bytes]], body: bytes) -> Content:
    """The body of a post as a message: bytes where it says so, or says nothing; else text."""
    kind = next((bytes(value) for name, value in headers if name == b"content-type"), b"")
    if kind.partition(b";")[0].strip().lower().decode("latin-1") in _BYTES:
        return {"bytes": body}
    return {"text": body.decode()}


def _as_it_is(content: Content, latest: str | None = None) -> Content:
    return content
