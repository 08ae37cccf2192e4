"""A consumer of ``runworker thumbnails``, which tells the group in its message when it is done."""

from __future__ import annotations

from typing import Any

from channels.consumer import AsyncConsumer


class Thumbnails(AsyncConsumer):
    async def make(self, message: dict[str, Any]) -> None:
        text = f"thumbnail {message['id']} is made"
        await self.channel_layer.group_send(message["group"], {"type": "group.said", "text": text})
