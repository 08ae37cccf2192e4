"""The function consumers, some in the groups of the class-based ones."""

from __future__ import annotations

import json

from routechan import Channel, Group, Message, route

# A content that consumers of both kinds take has a "type", which chooses the method of a class-based one, and a "text",
# which is what a socket of a function consumer sends.


def join(message: Message, group: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(group).add(message.reply_channel)


def say(message: Message, group: str) -> None:
    Group(group).send({"type": "group.said", "text": message["text"]})


def leave(message: Message, group: str) -> None:
    Group(group).discard(message.reply_channel)


async def ajoin(message: Message, group: str) -> None:
    message.reply_channel.send({"accept": True})
    await Group(group).aadd(message.reply_channel)


async def asay(message: Message, group: str) -> None:
    Group(group).send({"type": "group.said", "text": message["text"]})


# Class-based consumers that know nothing of functions: their events reach functions through a channel of the routing
# that is a member of their group.


def watch_chat(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(f"watchers-{room}").add(message.reply_channel)
    Group(f"chat_{room}").add(f"chat-events.{room}")


def chat_event(message: Message) -> None:
    """One event of the group ``chat_lobby``, whoever sent it, to the sockets that watch it."""
    frame = {"event": message["type"], "message": message.get("message"), "username": message.get("username")}
    Group("watchers-lobby").send({"text": json.dumps(frame)})


def chat_say(message: Message, room: str) -> None:
    Group(f"chat_{room}").send({"type": "chat.message", "message": message["text"], "username": "a function"})


def alert(message: Message) -> None:
    Group("alerts", alias="alerts").send({"type": "alert", "text": message["text"]})


def order_thumbnail(message: Message) -> None:
    """For the class-based consumer that ``runworker`` runs."""
    Channel("thumbnails").send({"type": "make", "id": message["text"], "group": "gallery"})


def invoice(message: Message) -> None:
    """Sent to by a view and by class-based consumers."""
    Group(message["group"]).send({"type": "group.said", "text": f"invoice {message['number']}"})


channel_routing = [
    route("websocket.connect", join, path=r"^/plain/(?P<group>\w+)/$"),
    route("websocket.receive", say, path=r"^/plain/(?P<group>\w+)/$"),
    route("websocket.disconnect", leave, path=r"^/plain/(?P<group>\w+)/$"),
    route("websocket.connect", ajoin, path=r"^/async/(?P<group>\w+)/$"),
    route("websocket.receive", asay, path=r"^/async/(?P<group>\w+)/$"),
    route("websocket.connect", watch_chat, path=r"^/watch/(?P<room>\w+)/$"),
    route("websocket.receive", chat_say, path=r"^/watch/(?P<room>\w+)/$"),
    route("chat-events.lobby", chat_event),
    route("websocket.receive", alert, path=r"^/alerts/$"),
    route("websocket.receive", order_thumbnail, path=r"^/thumbnails/$"),
    route("invoices", invoice),
]
