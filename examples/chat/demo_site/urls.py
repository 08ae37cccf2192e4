"""Every page of the demo."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("chat/", include("chat.urls")),
    path("feed/", include("feed.urls")),
    path("status/", include("status.urls")),
    path("presence/", include("presence.urls")),
    path("ticker/", include("ticker.urls")),
    path("", include("groupchat.urls")),
]
