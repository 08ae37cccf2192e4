"""The admin, and consumers whose channels are seen there."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.http import HttpRequest, HttpResponse
from django.urls import path

from routechan import Group, Message, route


def icon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [path("admin/", admin.site.urls), path("favicon.ico", icon), *staticfiles_urlpatterns()]


def connect(message: Message, room: str) -> None:
    message.reply_channel.send({"accept": True})
    Group(f"chat-{room}").add(message.reply_channel)


def receive(message: Message, room: str) -> None:
    Group(f"chat-{room}").send({"text": message["text"]})


def thumbnail(message: Message) -> None:
    if message.content.get("fails"):
        raise ValueError("no such picture")


channel_routing = [
    route("websocket.connect", connect, path=r"^/(?P<room>\w+)/$"),
    route("websocket.receive", receive, path=r"^/(?P<room>\w+)/$"),
    route("thumbnail", thumbnail),
]
