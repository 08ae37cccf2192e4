"""What was sent on a layer in memory, kept for a test to look at."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, TypeVar

from ..encoding import Content
from .memory import InMemoryChannelLayer, InMemorySyncLayer
from .options import NOW

#: How many sends are kept; the oldest make room.
KEPT = 10_000

Layer = TypeVar("Layer", bound=InMemoryChannelLayer)


class Sent(NamedTuple):
    """One send.

    Args:
        to_group: Whether it was to a group, or to a channel.
        name: The name of that.
        content: The content as a reader gets it.
        delay: The delay in seconds.
    """

    to_group: bool
    name: str
    content: Content
    delay: float


def recorded(layer: Layer) -> Layer:
    """``layer``, whose face has what was sent on either face in ``sent``, until it is flushed."""
    layer._sync = RecordingSyncLayer(layer, layer._sync)
    return layer


class RecordingSyncLayer(InMemorySyncLayer):
    """The 1.x face of a layer that is ``recorded``; the async face sends through it too. Lifetime: its layer's.

    Args:
        layer: the async face.
        face: the face it had before.
    """

    def __init__(self, layer: InMemoryChannelLayer, face: InMemorySyncLayer) -> None:
        super().__init__(layer, face._store, face._serializer, layer._marks)
        self.sent: deque[Sent] = deque(maxlen=KEPT)

    def send(self, channel: str, content: Content, delay: float = NOW, **options: Any) -> None:
        super().send(channel, content, delay, **options)
        self._record(False, channel, content, delay)

    def send_group(self, group: str, content: Content, delay: float = NOW, **options: Any) -> None:
        super().send_group(group, content, delay, **options)
        self._record(True, group, content, delay)

    def flush(self) -> None:
        super().flush()
        self.sent.clear()

    def _record(self, to_group: bool, name: str, content: Content, delay: float) -> None:
        copy = self._serializer.decode(self._serializer.encode(content))  # which the sender cannot change any more
        self.sent.append(Sent(to_group, name, copy, delay))
