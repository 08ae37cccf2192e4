"""The feed."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "feed"
urlpatterns = [
    path("", views.index, name="index"),
    path("latest/", views.newest, name="latest"),
]
