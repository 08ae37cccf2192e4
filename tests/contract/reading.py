"""Read everything a channel holds, without waiting for a time to pass."""

from __future__ import annotations

import asyncio

from routechan.encoding import Content
from routechan.layers import BaseChannelLayer, SyncChannelLayer

#: Seconds after which a wait that should end at once has failed.
SOON = 20.0

_END = {"end": "of what was there"}


def everything(face: SyncChannelLayer, *channels: str) -> list[tuple[str, Content]]:
    """What the 1.x face has for ``channels``, until it says that there is nothing."""
    found: list[tuple[str, Content]] = []
    while True:
        channel, content = face.receive(list(channels))
        if channel is None or content is None:
            assert (channel, content) == (None, None)
            return found
        found.append((channel, content))


def contents(face: SyncChannelLayer, *channels: str) -> list[Content]:
    return [content for _, content in everything(face, *channels)]


async def areceive(layer: BaseChannelLayer, channel: str) -> Content:
    """What the next receive gives, which must be there."""
    return await asyncio.wait_for(layer.receive(channel), SOON)


async def aeverything(layer: BaseChannelLayer, channel: str) -> list[Content]:
    """What ``channel`` holds: all that comes before a last message of our own."""
    await layer.send(channel, _END)
    found: list[Content] = []
    while (content := await areceive(layer, channel)) != _END:
        found.append(content)
    return found


async def held(layer: BaseChannelLayer, channel: str) -> list[Content]:
    """What waits in ``channel``, as many messages as the statistics say."""
    pending = (await layer.channel_statistics(channel))["messages_pending"]
    return [await areceive(layer, channel) for _ in range(pending)]
