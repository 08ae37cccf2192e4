"""The ticker's page."""

from __future__ import annotations

from django.urls import path

from . import views

app_name = "ticker"
urlpatterns = [path("", views.index, name="index")]
