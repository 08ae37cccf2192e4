"""The status page."""

from __future__ import annotations

from django.urls import path, re_path

from . import views

app_name = "status"
urlpatterns = [
    path("", views.index, name="index"),
    re_path(r"^(?P<client_id>[A-Za-z0-9_.-]{1,80})/\Z", views.client, name="client"),
]
