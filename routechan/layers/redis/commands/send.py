"""One message on its way to a queue in Redis: what leaves together, and what is asked before a large one leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....exceptions import ChannelFull
from ....telemetry.counters import counters
from .script import Context, Operation, Script, Step

#: Sends messages to a queue in one command: None or ``ChannelFull`` for each.
SendAll = Callable[[str, "Sequence[Send]"], "Script[list[Exception | None]]"]


class Send(Operation[None]):
    """A message to a queue in Redis. Lifetime: until it is sent.

    Neighbours to one queue leave in one command: a busy worker sends twenty answers to a server in one. The result is
    None, or ``ChannelFull`` is raised.

    Args:
        send_all: makes the commands for several.
        queue: the queue, also the ``batch_key``.
        channel: the full name of the channel.
        body: encoded content.
        headers: encoded headers; empty where there are none.
    """

    __slots__ = ("_send_all", "batch_key", "body", "channel", "headers")

    batch_key: str

    def __init__(self, send_all: SendAll, queue: str, channel: str, body: bytes, headers: bytes) -> None:
        self._send_all = send_all
        self.batch_key = queue
        self.channel = channel
        self.body = body
        self.headers = headers

    def script(self) -> Script[None]:
        (outcome,) = yield from self.batch(())
        if outcome is not None:
            raise outcome

    def batch(self, others: Sequence[Send]) -> Script[list[Exception | None]]:
        return self._send_all(self.batch_key, [self, *others])


class LargeSend(Operation[None]):
    """A large message to a queue in Redis, once it is known how many bytes wait there. Lifetime: until it is sent.

    Asked beforehand, because it takes long to send such a message in vain; a full channel is tried again and again.
    Other processes may send at the same moment: then more wait for a while, one message of each.

    Args:
        context: what all operations share.
        message: the message.
        pushing: queue -> bytes of the large messages that this process sends right now.
    """

    __slots__ = ("_context", "_message", "_pushing")

    reads_first = True

    def __init__(self, context: Context, message: Send, pushing: dict[str, int]) -> None:
        self._context = context
        self._message = message
        self._pushing = pushing

    def script(self) -> Script[None]:
        context, message, pushing = self._context, self._message, self._pushing
        queue, size, most = message.batch_key, len(message.body), context.capacities.channel_bytes
        (used,) = yield Step([context.bytes_of(queue)], True)
        before = (used or 0) + pushing.get(queue, 0)
        if before and before + size > most:
            counters.limited["channel_bytes"] += 1
            context.counts.add(queue, "channel_full_count")
            raise ChannelFull(queue, context.capacities.of(message.channel), most)
        pushing[queue] = pushing.get(queue, 0) + size
        try:
            yield from message.script()
        finally:
            pushing[queue] -= size
            if not pushing[queue]:
                del pushing[queue]
