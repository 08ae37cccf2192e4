"""Row 4: chat rooms with names, validation, presence, and messages in batches."""

from __future__ import annotations

import json
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

LONGEST = 1000
BATCH = 10

#: Room -> names of who is there; one process, as in the tutorial.
online: dict[str, list[str]] = {}


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        self.group = "chat_" + self.room
        self.batch: list[dict[str, str]] = []
        user = self.scope.get("user")
        self.user = user.get_username() if user is not None else ""
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.answer(type="connection_established", message=f"Welcome to {self.room}")
        if self.user:
            online.setdefault(self.room, []).append(self.user)
            await self.tell("user.join", username=self.user, users=online[self.room])

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)
        if self.user:
            online[self.room].remove(self.user)
            await self.tell("user.leave", username=self.user, users=online[self.room])

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            frame = json.loads(text_data or "")
            message = str(frame["message"]).strip()
        except (ValueError, TypeError, KeyError):
            await self.answer(type="error", message="Send JSON with a message")
            return
        if not message or len(message) > LONGEST:
            await self.answer(type="error", message=f"A message has 1 to {LONGEST} characters")
            return
        said = {"message": message, "username": frame.get("username") or self.user or "Anonymous"}
        if not frame.get("later"):
            await self.tell("chat.message", **said)
            return
        self.batch.append(said)
        if len(self.batch) == BATCH:
            await self.tell("bulk.messages", messages=self.batch)
            self.batch = []

    async def tell(self, kind: str, **event: Any) -> None:
        await self.channel_layer.group_send(self.group, {"type": kind, **event})

    async def answer(self, **frame: Any) -> None:
        await self.send(json.dumps(frame))

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.answer(message=event["message"], username=event["username"])

    async def bulk_messages(self, event: dict[str, Any]) -> None:
        for said in event["messages"]:
            await self.answer(**said)

    async def user_join(self, event: dict[str, Any]) -> None:
        await self.answer(type="user_join", username=event["username"], users=event["users"])

    async def user_leave(self, event: dict[str, Any]) -> None:
        await self.answer(type="user_leave", username=event["username"], users=event["users"])
