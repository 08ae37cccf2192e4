"""The pages of the chat."""

from __future__ import annotations

from django.urls import path, re_path

from . import views

app_name = "chat"
urlpatterns = [
    path("", views.index, name="index"),
    re_path(r"^(?P<room>[A-Za-z0-9_.-]{1,80})/\Z", views.room, name="room"),
]
