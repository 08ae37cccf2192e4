"""A client that sends messages to channels, has them consumed, and reads its replies."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from .. import names
from ..channel import Group
from ..delivery import flush_sync
from ..encoding import Content
from ..kinds import Consumer
from ..layers import DEFAULT_CHANNEL_LAYER, channel_layers
from ..layers.waiting import refuse_on_loop
from ..message import Message
from ..observe import tracing
from ..routing import Router
from ..run import Run
from .trial import Trial


class Client:
    """Plays one connection in a test: ``Client(routing, alias="default")``. Lifetime: test.

    ``reply_channel`` is its name on the layer ``alias``, which is usually a ``fresh_layer``. Consumers run through the
    same dispatch as in production, here and now, sync and async ones alike; what production logs (an error in a
    consumer, a message that could not be delivered) is raised. Async tests use the twins with an ``a``.
    """

    def __init__(self, routing: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        self._router = Router(routing)
        self._prepare(alias)

    def _prepare(self, alias: str) -> None:
        self.alias = alias
        # A name that the consumers of sockets take for one (EX-09), and that any reader may read.
        self.reply_channel = f"websocket.send.{alias}.{names.random_part(10)}"

    @property
    def channel_layer(self) -> Any:
        """The layer, looked up whenever it is used (TC-07)."""
        return channel_layers[self.alias]

    @property
    def router(self) -> Router:
        """Finds the consumers."""
        return self._router

    def get_next_message(self, channel: str) -> Message | None:
        """The next message on ``channel``, taken off it, or None (TC-08)."""
        message = self._take(channel)
        if message is not None:
            tracing.take(message.content)
        return message

    def _take(self, channel: str) -> Message | None:
        name, content = self.channel_layer.receive_many([channel])
        return None if name is None else Message(content, name, self.channel_layer)

    def get_consumer_by_channel(self, channel: str) -> Consumer | None:
        """The consumer of ``{"text": ""}`` on ``channel``, or None (TC-09)."""
        matched = self.router.match(Message({"text": ""}, channel, self.channel_layer))
        return None if matched is None else matched[0]

    def send(self, to: str, content: Content | None = None) -> None:
        """Send a copy of ``content`` to a channel, with this client's ``reply_channel`` unless it has one (TC-10)."""
        content = copy.deepcopy(content) if content else {}
        content.setdefault("reply_channel", self.reply_channel)
        self.channel_layer.send(to, content)

    def consume(self, channel: str, fail_on_none: bool = True, *, steps: int | None = None) -> Any:
        """Run the consumer of the next message on ``channel``, and return what it returned (TC-11 to TC-14).

        A denied handshake is a ``{"close": True}`` among the replies; after ``ConsumeLater`` the message is back on its
        channel. Other exceptions of the consumer are raised. Without a message, or a route for it: ``AssertionError``,
        or None with ``fail_on_none=False``. ``steps``: after how many yields a stream is closed.
        """
        refuse_on_loop("client.consume", f"await client.aconsume({channel!r})")
        prepared = self._next_run(channel, fail_on_none, steps)
        if prepared is None:
            return None
        trial, run = prepared
        trial.perform(run)
        self._finish(trial, run)
        return trial.outcome()

    def send_and_consume(
        self, channel: str, content: Content | None = None, fail_on_none: bool = True, *, steps: int | None = None
    ) -> Any:
        """``send``, then ``consume`` (TC-15)."""
        self.send(channel, content)
        return self.consume(channel, fail_on_none, steps=steps)

    def receive(self) -> Any:
        """The content of the next reply, or None (TC-16)."""
        message = self.get_next_message(self.reply_channel)
        return None if message is None else message.content

    def join_group(self, group_name: str) -> None:
        """Make this client a member of a group (TC-17)."""
        Group(group_name, channel_layer=self.channel_layer).add(self.reply_channel)

    # For async tests

    async def aget_next_message(self, channel: str) -> Message | None:
        """``get_next_message`` for async tests."""
        message: Message | None = await self._run_sync(self.get_next_message, channel)
        return message

    async def asend(self, to: str, content: Content | None = None) -> None:
        """``send`` for async tests."""
        await self._run_sync(self.send, to, content)

    async def aconsume(self, channel: str, fail_on_none: bool = True, *, steps: int | None = None) -> Any:
        """``consume`` for async tests; an async consumer runs on the test's own loop."""
        prepared = await self._run_sync(self._next_run, channel, fail_on_none, steps)
        if prepared is None:
            return None
        trial, run = prepared
        await trial.aperform(run)
        await self._run_sync(self._finish, trial, run)
        return trial.outcome()

    async def asend_and_consume(
        self, channel: str, content: Content | None = None, fail_on_none: bool = True, *, steps: int | None = None
    ) -> Any:
        """``send_and_consume`` for async tests."""
        await self.asend(channel, content)
        return await self.aconsume(channel, fail_on_none, steps=steps)

    async def areceive(self) -> Any:
        """``receive`` for async tests."""
        return await self._run_sync(self.receive)

    async def ajoin_group(self, group_name: str) -> None:
        """``join_group`` for async tests."""
        await self._run_sync(self.join_group, group_name)

    # One message

    def _next_run(self, channel: str, fail_on_none: bool, steps: int | None) -> tuple[Trial, Run] | None:
        message = self._take(channel)
        if message is None:
            if fail_on_none:
                raise AssertionError(
                    f"no message is waiting on {channel!r}; send one with client.send({channel!r}, ...)"
                )
            return None
        trial = self._trial(steps)
        run = trial.find(message)  # what a custom route raises is for the test to see
        if run is not None:
            return trial, run
        if fail_on_none:
            routes = ", ".join(map(str, self.router.root.routing)) or "none"
            raise AssertionError(
                f"no route takes the message on {message.channel_name!r}, {message.content!r:.200}; "
                f"the routes are {routes}"
            )
        return None

    def _finish(self, trial: Trial, run: Run) -> None:
        """As a worker does: first put back what asked for another try (WK-22), then deliver."""
        if run.later and trial.may_retry(run):
            self.channel_layer.send(run.message.channel_name, run.message.content)
        flush_sync(run)

    def _trial(self, steps: int | None) -> Trial:
        return Trial(self.router, run_async=asyncio.run, run_sync=self._run_sync, steps=steps)

    async def _run_sync(self, function: Any, *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)
