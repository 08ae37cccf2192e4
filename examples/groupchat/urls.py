"""The pages; each has the path of its socket."""

from __future__ import annotations

from django.urls import path, re_path

from . import views

ECHO = {
    "title": "Echo",
    "about": "One route, no connect consumer: what you send comes back to you alone.",
    "source": "groupchat/echo.py",
}
CHAT = {
    "title": "Group chat",
    "about": "Everybody with this page open is in one group. Open it in a second window.",
    "source": "groupchat/consumers.py",
}
ROOM = {
    "title": "Room",
    "about": "The room is a part of the path: change it in the address bar for another one.",
    "source": "groupchat/consumers.py",
}
LEAVE = {
    "title": "Group",
    "about": "Leave closes the socket from this side; the text /leave asks the server to close it.",
    "source": "groupchat/leaving.py",
    "leave": True,
}

app_name = "groupchat"
urlpatterns = [
    path("echo/", views.page, ECHO, name="echo"),
    path("groupchat/", views.page, CHAT, name="chat"),
    re_path(r"^groupchat/(?P<room>[A-Za-z0-9_.-]{1,80})/\Z", views.page, ROOM, name="room"),
    re_path(r"^room/(?P<group>[A-Za-z0-9_.-]{1,80})/\Z", views.page, LEAVE, name="leave"),
]
