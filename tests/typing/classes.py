"""Class-based consumers and bindings, as projects override them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from django.contrib.auth.models import Group as UserGroup
from typing_extensions import assert_type

from routechan import Channel, Group, Message, route, route_class
from routechan_django.auth import UserMessage, http_session_user
from routechan_django.binding.websockets import WebsocketBinding, WebsocketBindingWithMembers
from routechan_django.generic import BaseConsumer
from routechan_django.generic.websockets import (
    JsonWebsocketConsumer,
    WebsocketConsumer,
    WebsocketDemultiplexer,
    WebsocketMultiplexer,
)


class Mail(BaseConsumer):
    method_mapping = {"mail.send": "send_mail", "mail.drop": "drop"}
    channel_session_user = True

    def send_mail(self, message: UserMessage, **kwargs: Any) -> None:
        assert_type(self.kwargs, dict[str, Any])

    async def drop(self, message: Message) -> None: ...

    def get_handler(self, message: Message, **kwargs: Any) -> Callable[..., Any]:
        return http_session_user(super().get_handler(message, **kwargs))


class Chat(WebsocketConsumer):
    http_user = True
    strict_ordering = True
    groups = ["everyone"]

    def connection_groups(self, room: str) -> list[str]:
        return ["chat-" + room]

    def connect(self, message: UserMessage, room: str) -> None:
        assert_type(self.message.reply_channel, Channel)
        if not message.user.is_authenticated:
            self.close(4003)
        super().connect(message, room=room)

    async def receive(self, text: str | None = None, bytes: bytes | None = None, *, room: str) -> None:
        self.send(text=self.message.user.get_username(), bytes=bytes, close=False)
        self.group_send("chat-" + room, text="hello", close=4000)

    def disconnect(self, message: Message, **kwargs: Any) -> None:
        assert_type(self.path, Any)


class Ticker(JsonWebsocketConsumer):
    def connection_groups(self, **kwargs: Any) -> Sequence[str]:
        return [*super().connection_groups(**kwargs), "ticks"]

    async def receive(self, content: dict[str, Any], **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"text": self.encode_json(content)}

    @classmethod
    def encode_json(cls, content: Any) -> str:
        return super().encode_json(content)


class Wrong(JsonWebsocketConsumer):
    groups = 5  # type: ignore[assignment]

    def connection_groups(self, **kwargs: Any) -> int:  # type: ignore[override]
        return 5


class Stream(JsonWebsocketConsumer):
    def receive(self, content: Any, multiplexer: WebsocketMultiplexer, **kwargs: Any) -> None:
        multiplexer.send({"echo": content})


class GroupBinding(WebsocketBinding):
    model = UserGroup
    stream = "groups"
    fields = ["name"]

    @classmethod
    def group_names(cls, instance: UserGroup) -> list[str]:
        return ["groups", instance.name]

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        return bool(user.is_staff)


class MembersBinding(WebsocketBindingWithMembers):
    model = "auth.Group"
    stream = "members"
    fields = "__all__"
    exclude = ("id",)
    send_members = ["name"]
    strict_ordering = True

    @classmethod
    def group_names(cls, instance: Any) -> Sequence[str]:
        return ["groups"]

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        return False


class Demultiplexer(WebsocketDemultiplexer):
    http_user = True
    consumers = {"stream": Stream, "groups": GroupBinding.consumer, "members": MembersBinding.consumer}

    def connection_groups(self, **kwargs: Any) -> list[str]:
        return ["streams"]

    def connect(self, message: UserMessage, **kwargs: Any) -> Any:
        return super().connect(message, **kwargs)


channel_routing = [
    route_class(Chat, path=r"^/(?P<room>\w+)$"),
    Ticker.as_route(path=r"^/ticks/$"),
    Demultiplexer.as_route(attrs={"strict_ordering": True}, path=r"^/streams/$"),
    route("mail.send", Mail),
    route("groups", GroupBinding.consumer),
]

WebsocketMultiplexer.group_send("everyone", "stream", {"is": "told"})
Group("everyone").send({"text": "told"})
