"""Row 1: every connection of a client is in the client's group, and sees what any of them sends."""

from __future__ import annotations

import json
from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import WebsocketConsumer


class Status(WebsocketConsumer):
    def connect(self) -> None:
        self.group = "group_" + self.scope["url_route"]["kwargs"]["client_id"]
        async_to_sync(self.channel_layer.group_add)(self.group, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.group, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        async_to_sync(self.channel_layer.group_send)(
            self.group, {"type": "status.changed", "message": json.loads(text_data or "{}").get("message")}
        )

    def status_changed(self, event: dict[str, Any]) -> None:
        user = self.scope["user"]
        self.send(json.dumps({"message": event["message"], "user": user.get_username() or "nobody"}))
