"""Row 5: the group in the path, sync, closed by either side; and a consumer on another layer than the default."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer


class GroupRoom(WebsocketConsumer):
    def connect(self) -> None:
        self.group = self.scope["url_route"]["kwargs"]["group"]
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()
        self.send(json.dumps({"greeting": f"You are in {self.group}"}))

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "leave":
            self.close(4001)
            return
        async_to_sync(self.channel_layer.group_send)(self.group, {"type": "group.said", "text": text_data})

    def group_said(self, event: dict[str, Any]) -> None:
        self.send(event["text"])


class Alerts(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "alerts"
    groups = ("alerts",)

    async def alert(self, event: dict[str, Any]) -> None:
        await self.send_json({"alert": event["text"]})
