"""Class-based consumers under their paths, functions everywhere else: one ASGI application."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

from routechan_django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.channels4.project.settings")

# Sets Django up, so it comes before the imports of consumers, which may import models.
functions = get_asgi_application()

from . import chat, groups, rooms, status, workers  # noqa: E402

sockets = URLRouter(
    [
        path("ws/status/<slug:client_id>", status.Status.as_asgi()),
        path("ws/echo/", rooms.Echo.as_asgi()),
        path("ws/sync/<slug:room>/", rooms.Room.as_asgi()),
        path("ws/async/<slug:room>/", rooms.AsyncRoom.as_asgi()),
        path("ws/chat/<slug:room>/", chat.Chat.as_asgi()),
        path("room/<slug:group>/", groups.GroupRoom.as_asgi()),
        path("ws/alerts/", groups.Alerts.as_asgi()),
        re_path(r"", functions),  # all other paths: the routing of settings.ROUTECHAN
    ]
)

application = ProtocolTypeRouter(
    {
        "http": functions,  # Django's views, and the http.request routes
        "lifespan": functions,  # function consumers start and stop with the server
        "websocket": AuthMiddlewareStack(sockets),
        "channel": ChannelNameRouter({"thumbnails": workers.Thumbnails.as_asgi()}),
    }
)
