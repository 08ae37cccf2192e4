"""Questions to the clients of sockets, and the way of their answers back to whoever has asked.

A question goes to the socket's reply channel like any message, whichever process has the socket. The answer comes back
on a channel of this process. It is taken by whatever reads the layer, not by the thread or the task that waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent import futures
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol
from weakref import WeakValueDictionary

from .. import names
from ..concurrency import maybe_await, refuse_on_loop
from ..encoding import Content, check_content
from ..exceptions import (
    AnswerRefused,
    AnswerTimeout,
    CannotAsk,
    ChannelLayerUnavailable,
    InvalidContent,
    NotAnswered,
    SocketLost,
    TooManyQuestions,
)
from ..interfaces import ASK, LOST, MANY, NO, NUMBER, REFUSED, UNABLE
from ..layers.base import BaseChannelLayer, SyncChannelLayer
from ..telemetry.counters import counters
from ..telemetry.log_fields import log_fields
from ..telemetry.repeats import Repeats

logger = logging.getLogger("routechan")

#: Seconds that an answer is waited for, unless it is said otherwise.
TIMEOUT = 5.0

#: Seconds that the layer may take to be told that no more answers are taken.
LEAVE_TIMEOUT = 2.0

#: What a question and an answer have: one of these.
BODIES = {"text": str, "bytes": (bytes, bytearray, memoryview)}

_FAILURES: dict[str, tuple[type[NotAnswered], str]] = {
    LOST: (SocketLost, "its socket is closed"),
    UNABLE: (CannotAsk, "it does not speak routechan.v1, so it takes no questions"),
    MANY: (TooManyQuestions, "too many questions to it are open already"),
    REFUSED: (AnswerRefused, ""),
}


class Asked(Protocol):
    """What plays a client in a test."""

    def answer_to(self, question: Content) -> Content:
        """The answer to ``question``; what it raises is raised where it was asked."""


#: Those who play clients, by their reply channels.
stand_ins: MutableMapping[str, Asked] = WeakValueDictionary()


def check_body(what: str, content: object) -> None:
    """Raise ``InvalidContent`` if ``content`` is not the content of ``what``, a question or an answer."""
    if not isinstance(content, dict):
        check_content(content)
    elif len(content) != 1 or not any(isinstance(content.get(key), kind) for key, kind in BODIES.items()):  # type: ignore[arg-type]
        raise InvalidContent(
            f"{what} is a dict with 'text', a str, or 'bytes', and nothing else, such as "
            f'{{"text": "yes"}}; it was {content!r:.200}'
        )


class Asker:
    """The questions that this process has open on a layer. Lifetime: layer, in one process. Thread-safe.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: BaseChannelLayer) -> None:
        self.process = layer.process
        self._layer = layer
        self._queue = f"specific.{names.random_part(6)}.{layer.process}!"
        self._answers_to = self._queue + names.random_part(10)
        self._numbers = count(1)
        self._repeats = Repeats()
        self._open: dict[int, futures.Future[Content]] = {}
        layer.attach(self._queue, self._take)

    @contextmanager
    def question(self, content: Content, timeout: float) -> Iterator[tuple[Content, futures.Future[Content]]]:
        """A question that is open within the ``with``.

        Args:
            content: What is asked.
            timeout: Seconds that the answer is waited for.

        Yields:
            The message for the socket, and what will have the answer.
        """
        number, answer = next(self._numbers), futures.Future[Content]()
        self._open[number] = answer
        try:
            yield {ASK: [self._answers_to, number, timeout], **content}, answer
        finally:
            del self._open[number]

    async def leave(self) -> None:
        """Take no more answers: the process is about to leave the layer."""
        try:
            await asyncio.wait_for(maybe_await(self._layer.detach(self._queue)), LEAVE_TIMEOUT)
        except (ChannelLayerUnavailable, asyncio.TimeoutError) as error:  # the end of its lease says so too
            logger.debug("The layer is not told that no answers are taken any more: %r", error)

    def _take(self, channels: Sequence[str], content: Content, latest: str | None = None) -> None:
        """Take an answer; called by the layer in any thread."""
        answer = self._open.get(content.get(NUMBER, 0))
        try:
            if answer is not None:
                answer.set_result(content)
                return
        except futures.InvalidStateError:  # it was given up in this moment
            pass
        if NO in content:
            return  # there was no answer, and nobody waits for one
        counters.answers_late += 1
        more = self._repeats.more("late")
        if more is not None:
            logger.info("An answer of a client has come too late%s", more, extra=log_fields())


_making = threading.Lock()


def _asker(layer: BaseChannelLayer) -> Asker:
    asker: Asker | None = layer.__dict__.get("_asker")
    if asker is None or asker.process != layer.process:  # a forked child has another name
        with _making:
            asker = layer.__dict__.get("_asker")
            if asker is None or asker.process != layer.process:
                asker = layer.__dict__["_asker"] = Asker(layer)
    return asker


async def leave(layer: BaseChannelLayer) -> None:
    """Take no more answers that come over ``layer``: this process is about to leave it."""
    asker: Asker | None = layer.__dict__.pop("_asker", None)
    if asker is not None and asker.process == layer.process:
        await asker.leave()


def ask(name: str, face: Any, content: Content, timeout: float) -> Content:
    """Ask the client of a socket, and wait on this thread.

    Args:
        name: Of its reply channel.
        face: The 1.x face of its layer.
        content: What is asked.
        timeout: Seconds that the answer is waited for.

    Returns:
        The answer, a dict with ``text`` or ``bytes``.

    Raises:
        NotAnswered: There is none; see its subclasses.
        InvalidContent: ``content`` is no question.
        ValueError: ``name`` is not that of a socket's reply channel, or ``timeout`` no number of seconds.
        WouldBlock: On an event loop.
    """
    refuse_on_loop("reply_channel.ask", "await reply_channel.aask(...)")
    layer = _layer_of(name, face, content, timeout)
    if layer is None:
        return stand_ins[name].answer_to(content)
    with _asker(layer).question(content, timeout) as (message, answer):
        face.send(name, message)
        try:
            found = answer.result(timeout)
        except futures.TimeoutError:
            raise _too_late(name, timeout) from None
    return _opened(name, found)


async def aask(name: str, face: Any, content: Content, timeout: float) -> Content:
    """``ask`` for async code, with ``name``, ``face``, ``content`` and ``timeout``.

    Returns:
        The answer.
    """
    layer = _layer_of(name, face, content, timeout)
    if layer is None:
        return stand_ins[name].answer_to(content)
    with _asker(layer).question(content, timeout) as (message, answer):
        await layer.send(name, message)
        try:
            found = await asyncio.wait_for(asyncio.wrap_future(answer), timeout)
        except asyncio.TimeoutError:
            raise _too_late(name, timeout) from None
    return _opened(name, found)


def _layer_of(name: str, face: Any, content: Content, timeout: float) -> BaseChannelLayer | None:
    """The layer that the question goes over; None where a test plays the client."""
    check_body("a question", content)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < float("inf"):
        raise ValueError(f"timeout is a number of seconds above 0, such as 5, not {timeout!r}")
    if name in stand_ins:
        return None
    if not names.is_of_a_socket(name):
        raise ValueError(f"only the client of a socket can be asked, and {name!r} is no reply channel of a socket")
    if not isinstance(face, SyncChannelLayer) or face.layer is None:  # a wrapper of Django's has none of another make
        raise TypeError(f"{type(face).__name__} is no routechan layer and brings no answers back")
    return face.layer


def _too_late(name: str, timeout: float) -> AnswerTimeout:
    return AnswerTimeout(name, f"none has come within {timeout:g} s")


def _opened(name: str, found: Content) -> Content:
    """The answer in what has come; raises ``NotAnswered`` where there is none."""
    kind = found.get(NO)
    if kind is None:
        return {key: found[key] for key in BODIES if key in found}
    error, why = _FAILURES[kind]
    raise error(name, found.get("why") or why)
