"""The site that the live server serves: consumers of each kind that use the database, two views, one page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from routechan import Channel, Group, Message, route

#: The connections to the database in which the consumers and the view ran.
used: list[Any] = []


def _names() -> str:
    used.append(connection.connection)
    return " ".join(get_user_model().objects.order_by("pk").values_list("username", flat=True))


def plain(message: Message) -> None:
    get_user_model().objects.create(username=message["text"])
    message.reply_channel.send({"text": _names()})


async def coroutine(message: Message) -> None:
    await sync_to_async(get_user_model().objects.create)(username=message["text"])
    await message.reply_channel.asend({"text": await sync_to_async(_names)()})


def stream(message: Message) -> Iterator[dict[str, Any]]:
    get_user_model().objects.create(username=message["text"])
    yield {"text": _names()}


def join(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("everybody").add(message.reply_channel)


def say(message: Message) -> None:
    Group("everybody").send({"text": message["text"]})


def later(message: Message) -> None:
    Channel("work").send({"reply_channel": message.reply_channel.name, "text": message["text"]})


def work(message: Message) -> None:
    message.reply_channel.send({"text": f"done: {message['text']}"})


channel_routing = [
    route("websocket.receive", plain, path="^/plain/$"),
    route("websocket.receive", coroutine, path="^/async/$"),
    route("websocket.receive", stream, path="^/stream/$"),
    route("websocket.connect", join, path="^/group/$"),
    route("websocket.receive", say, path="^/group/$"),
    route("websocket.receive", later, path="^/later/$"),
    route("work", work),
]


def users(request: HttpRequest) -> HttpResponse:
    get_user_model().objects.create(username="of-the-view")
    return HttpResponse(_names())


PAGE = """<!doctype html><title>live</title><ul id="said"></ul><script>
const socket = new WebSocket("ws://" + location.host + "/group/");
socket.onopen = () => { document.title = "open"; };
socket.onmessage = (event) => { document.getElementById("said").innerHTML += "<li>" + event.data + "</li>"; };
</script>"""


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


urlpatterns = [path("users/", users), path("page/", page)]
