"""All requests to the views, by way of messages."""

from __future__ import annotations

from typing import Any

from routechan import Message, route
from routechan_django.handler import ViewConsumer


class ByMethod:
    """A route of the project's own, which names a channel and does not take all of it."""

    def match(self, message: Message) -> tuple[Any, dict[str, Any]] | None:
        return None if message["path"] == "/hello/" else (ViewConsumer(), {})

    def channel_names(self) -> set[str]:
        return {"http.request"}


channel_routing = [
    route("http.request", ViewConsumer(), path=r"^/(?!hello)"),
    ByMethod(),
]
