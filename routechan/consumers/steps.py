"""Steps of consumers: a run of a function, or what a generator does from one yield to the next.

``StepHooks`` are called around each, here for generators, in ``dispatch`` for functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol

from ..concurrency import maybe_await
from ..inspection import place_of
from ..message import Message
from ..outbox import Entry, Outbox


class StepHooks(Protocol):
    """What is done around each step of a consumer.

    Lifetime: process. Each method is given the ``outbox`` of the run, which is closed after the last step, and is
    called with the context variables of the run. None may raise.
    """

    def enter(self, outbox: Outbox) -> None:
        """Begin a step of a plain consumer, the run of ``outbox``, on its thread."""

    def leave(self, outbox: Outbox) -> None:
        """End what ``enter`` began for ``outbox``."""

    def aenter(self, outbox: Outbox) -> Awaitable[None] | None:
        """Begin a step of an async consumer, the run of ``outbox``, on its event loop.

        Returns:
            What is awaited before the step; None where there is nothing to wait for.
        """

    def aleave(self, outbox: Outbox) -> Awaitable[None] | None:
        """End what ``aenter`` began for ``outbox``.

        Returns:
            What is awaited after the step; None where there is nothing to wait for.
        """

    def watches_ends(self) -> bool:
        """Whether something is kept for a connection that its ``websocket.disconnect`` has to end.

        Then that event comes also where no route takes it and its server has died.
        """


class _Invocation(Protocol):
    """What ``dispatch.Invocation`` is to this module, which is below it."""

    message: Message
    entries: list[Entry]

    def start(self) -> Any: ...
    def __enter__(self) -> Any: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool: ...


def iterate(invocation: _Invocation, generator: Any, emit: Callable[[], bool], hooks: StepHooks | None) -> None:
    """Iterate a generator to its end on this thread.

    Args:
        invocation: of the consumer.
        generator: what the consumer returned, or None where it has yet to be called.
        emit: delivers the outbox after each step; the generator is closed when it returns False.
        hooks: what is done around each step.
    """
    _enter(hooks, invocation)
    with invocation:
        if generator is None:
            generator = invocation.start()
        try:
            for item in generator:
                add_yielded(invocation, item, generator)
                _leave(hooks, invocation)
                wanted = emit()
                _enter(hooks, invocation)
                if not wanted:
                    break
        finally:
            generator.close()
    _leave(hooks, invocation)


async def aiterate(
    invocation: _Invocation, generator: Any, emit: Callable[[], Awaitable[bool]], hooks: StepHooks | None
) -> None:
    """``iterate`` for an async generator, in this task; cancelling the task ends it too.

    Args: ``invocation``, ``generator``, ``emit`` and ``hooks`` as those of ``iterate``; ``emit`` is awaited.
    """
    await _aenter(hooks, invocation)
    try:
        with invocation:
            if generator is None:
                generator = invocation.start()
            try:
                async for item in generator:
                    add_yielded(invocation, item, generator)
                    await _aleave(hooks, invocation)
                    wanted = await emit()
                    await _aenter(hooks, invocation)
                    if not wanted:
                        break
            finally:
                await generator.aclose()
    finally:
        await _aleave(hooks, invocation)


def _enter(hooks: StepHooks | None, invocation: Any) -> None:
    if hooks is not None:
        hooks.enter(invocation)


def _leave(hooks: StepHooks | None, invocation: Any) -> None:
    if hooks is not None:
        hooks.leave(invocation)


async def _aenter(hooks: StepHooks | None, invocation: Any) -> None:
    if hooks is not None:
        await maybe_await(hooks.aenter(invocation))


async def _aleave(hooks: StepHooks | None, invocation: Any) -> None:
    if hooks is not None:
        await maybe_await(hooks.aleave(invocation))


def add_yielded(invocation: _Invocation, item: Any, generator: Any) -> None:
    """Put what a generator has yielded into the outbox.

    Args:
        invocation: of the consumer.
        item: what it yielded.
        generator: where, for errors.

    Raises:
        TypeError: ``item`` is no dict, or the message has no reply channel.
    """
    reply_channel = invocation.message.reply_channel
    while getattr(generator, "gi_yieldfrom", None) is not None:  # a decorator around the consumer
        generator = generator.gi_yieldfrom
    frame: Any = getattr(generator, "gi_frame", None) or getattr(generator, "ag_frame", None)
    code, instruction = (frame.f_code, frame.f_lasti) if frame else (None, 0)
    if not isinstance(item, dict):
        place = place_of(code, instruction)
        raise TypeError(
            f"a streaming consumer yields dicts for its reply channel, such as {{'text': 'hello'}}, not {item!r:.100}"
            f"{f', as at {place}' if place else ''}"
        )
    if reply_channel is None:
        raise TypeError("a streaming consumer needs a message with a reply channel to yield to")
    invocation.entries.append((reply_channel, item, code, instruction))
