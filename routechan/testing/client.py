"""The test client: sends messages to channels, runs their consumers, and reads the replies."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import names
from ..channel import Group
from ..concurrency import refuse_on_loop
from ..consumers.dispatch import Invocation
from ..encoding import Content
from ..inspection import Consumer
from ..interfaces import CHANGED
from ..layers import DEFAULT_CHANNEL_LAYER, BaseChannelLayer, InMemoryChannelLayer, SyncChannelLayer, channel_layers
from ..layers.base import Delivery
from ..layers.recording import recorded
from ..message import Message
from ..outbox import flush_sync
from ..routing import Router
from ..telemetry.tracing import TRACE
from .recording import RecordingDispatcher


class Client:
    """Plays one connection in a test. Lifetime: test.

    Consumers run through the same dispatch as in production, within the call, sync and async ones alike. What
    production logs (an error in a consumer, a message that could not be delivered) is raised. Async tests use the
    methods whose name begins with ``a``. ``reply_channel`` is the name of the connection's reply channel.

    Args:
        routing: A routing list, or whatever else ``include`` takes.
        alias: The layer to use, usually a ``fresh_layer``.
    """

    def __init__(self, routing: Any, alias: str = DEFAULT_CHANNEL_LAYER) -> None:
        self._router = Router(routing)
        self._prepare(alias)

    def _prepare(self, alias: str) -> None:
        self.alias = alias
        # It looks like a WebSocket's reply channel (EX-09), but is not process-specific, so anyone can read it.
        self.reply_channel = f"websocket.send.{alias}.{names.random_part(10)}"
        self._want_presence()

    def _want_presence(self) -> None:
        """Have joins and leaves sent that the routing takes, as servers and workers do."""
        layer = getattr(self.channel_layer, "layer", None)
        if isinstance(layer, BaseChannelLayer):
            layer.want_presence(self.router.channels)

    @property
    def channel_layer(self) -> Any:
        """The layer, looked up at each use (TC-07)."""
        return channel_layers[self.alias]

    @property
    def router(self) -> Router:
        """The router that finds the consumers."""
        return self._router

    def get_next_message(self, channel: str) -> Message | None:
        """The next message on ``channel``, taken off it, or None (TC-08)."""
        delivery = self._receive(channel)
        return None if delivery is None else Message(delivery.content, delivery.channel, self.channel_layer)

    def _receive(self, channel: str) -> Delivery | None:
        layer = self.channel_layer
        while True:
            if isinstance(layer, SyncChannelLayer):
                delivery = layer.receive_delivery([channel])
            else:
                name, content = layer.receive_many([channel])
                delivery = None if name is None else Delivery(name, content, {})
            if delivery is None or CHANGED not in delivery.content:  # that is for a server, and no client sees it
                return delivery

    def get_consumer_by_channel(self, channel: str) -> Consumer | None:
        """The consumer that a message ``{"text": ""}`` on ``channel`` is routed to, or None (TC-09)."""
        matched = self.router.match(Message({"text": ""}, channel, self.channel_layer))
        return None if matched is None else matched[0]

    def send(self, to: str, content: Content | None = None) -> None:
        """Send a message (TC-10).

        Args:
            to: The channel.
            content: The message, which is copied; this client's ``reply_channel`` is added unless it has one.
        """
        content = copy.deepcopy(content) if content else {}
        content.setdefault("reply_channel", self.reply_channel)
        self.channel_layer.send(to, content)

    def consume(self, channel: str, fail_on_none: bool = True, *, steps: int | None = None) -> Any:
        """Run the consumer of the next message on a channel (TC-11 to TC-14).

        A denied handshake is a ``{"close": True}`` among the replies. After ``ConsumeLater`` the message is back on its
        channel. Every other exception of the consumer is raised.

        Args:
            channel: The channel.
            fail_on_none: Whether to fail if there is no message, or no route takes it.
            steps: The number of yields after which a stream is closed; None to let it end by itself.

        Returns:
            What the consumer returned; None if nothing was run.

        Raises:
            AssertionError: There is no message or no route, and ``fail_on_none`` is true.
        """
        refuse_on_loop("client.consume", f"await client.aconsume({channel!r})")
        prepared = self._prepare_next(channel, fail_on_none, steps)
        if prepared is None:
            return None
        recording, invocation = prepared
        recording.perform(invocation)
        self._finish(recording, invocation)
        return recording.outcome()

    def send_and_consume(
        self, channel: str, content: Content | None = None, fail_on_none: bool = True, *, steps: int | None = None
    ) -> Any:
        """Call ``send`` with ``channel`` and ``content``, then ``consume`` (TC-15).

        Returns:
            What ``consume`` returns, which ``fail_on_none`` and ``steps`` are for.
        """
        self.send(channel, content)
        return self.consume(channel, fail_on_none, steps=steps)

    def receive(self) -> Any:
        """The content of the next reply, or None (TC-16)."""
        message = self.get_next_message(self.reply_channel)
        return None if message is None else message.content

    def join_group(self, group_name: str) -> None:
        """Add this client's reply channel to the group ``group_name`` (TC-17)."""
        Group(group_name, channel_layer=self.channel_layer).add(self.reply_channel)

    # For async tests

    async def aget_next_message(self, channel: str) -> Message | None:
        """The next message on ``channel``, which is removed from it, or None; see ``get_next_message``."""
        message: Message | None = await self._run_sync(self.get_next_message, channel)
        return message

    async def asend(self, to: str, content: Content | None = None) -> None:
        """Send ``content`` to the channel ``to``; see ``send``."""
        await self._run_sync(self.send, to, content)

    async def aconsume(self, channel: str, fail_on_none: bool = True, *, steps: int | None = None) -> Any:
        """Run the consumer of the next message on ``channel``, an async one on the test's own event loop.

        Returns:
            What ``consume`` returns, which ``fail_on_none`` and ``steps`` are for.
        """
        prepared = await self._run_sync(self._prepare_next, channel, fail_on_none, steps)
        if prepared is None:
            return None
        recording, invocation = prepared
        await recording.aperform(invocation)
        await self._run_sync(self._finish, recording, invocation)
        return recording.outcome()

    async def asend_and_consume(
        self, channel: str, content: Content | None = None, fail_on_none: bool = True, *, steps: int | None = None
    ) -> Any:
        """Call ``asend`` with ``channel`` and ``content``, then ``aconsume``.

        Returns:
            What ``consume`` returns, which ``fail_on_none`` and ``steps`` are for.
        """
        await self.asend(channel, content)
        return await self.aconsume(channel, fail_on_none, steps=steps)

    async def areceive(self) -> Any:
        """The content of the next reply, or None; see ``receive``."""
        return await self._run_sync(self.receive)

    async def ajoin_group(self, group_name: str) -> None:
        """Add this client's reply channel to the group ``group_name``; see ``join_group``."""
        await self._run_sync(self.join_group, group_name)

    # One message

    def _prepare_next(
        self, channel: str, fail_on_none: bool, steps: int | None
    ) -> tuple[RecordingDispatcher, Invocation] | None:
        self._want_presence()
        delivery = self._receive(channel)
        if delivery is None:
            if fail_on_none:
                raise AssertionError(
                    f"no message is waiting on {channel!r}; send one with client.send({channel!r}, ...)"
                )
            return None
        message = Message(delivery.content, delivery.channel, self.channel_layer)
        recording = self._recording(steps)
        invocation = recording.find(message, delivery.headers.get(TRACE))  # the test sees what a custom route raises
        if invocation is not None:
            return recording, invocation
        if fail_on_none:
            routes = ", ".join(map(str, self.router.root.routing)) or "none"
            raise AssertionError(
                f"no route takes the message on {message.channel_name!r}, {message.content!r:.200}; "
                f"the routes are {routes}"
            )
        return None

    def _finish(self, recording: RecordingDispatcher, invocation: Invocation) -> None:
        """As a worker does: first put back what asked for another try (WK-22), then deliver."""
        if invocation.later and recording.may_retry(invocation):
            self.channel_layer.send(invocation.message.channel_name, invocation.message.content)
        flush_sync(invocation)

    def _recording(self, steps: int | None) -> RecordingDispatcher:
        return RecordingDispatcher(self.router, run_async=asyncio.run, run_sync=self._run_sync, steps=steps)

    async def _run_sync(self, function: Any, *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)


@contextmanager
def fresh_layer(alias: str = DEFAULT_CHANNEL_LAYER, **options: Any) -> Iterator[SyncChannelLayer]:
    """A context manager that puts an empty in-memory layer in place of the one under ``alias``.

    Args:
        alias: The alias.
        **options: Options of ``InMemoryChannelLayer``; without another ``linger``, whoever leaves has left at once.

    Yields:
        The 1.x face of the new layer.
    """
    with channel_layers.override(alias, recorded(InMemoryChannelLayer(**{"linger": 0, **options})).sync) as layer:
        yield layer
