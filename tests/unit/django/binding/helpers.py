"""Bindings for tests, and what their messages hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routechan_django.binding.websockets import WebsocketBinding

from .models import Book

#: ``sent("group")``: see the fixture.
Sent = Callable[..., list[dict[str, Any]]]


class ToAll(WebsocketBinding):
    model = None
    stream = "books"

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return ["all"]


def bind(base: Any = ToAll, **body: Any) -> Any:
    """A binding, of books unless told otherwise, that lasts as long as the test."""
    return type("Bound", (base,), {"model": Book, "fields": ["title"], **body})


class ByTeam(ToAll):
    model = None

    @classmethod
    def group_names(cls, instance: Any) -> list[str]:
        return ["all", instance.team]


def actions(payloads: list[dict[str, Any]]) -> list[str]:
    return [payload["action"] for payload in payloads]


def data(payloads: list[dict[str, Any]]) -> list[Any]:
    return [payload["data"] for payload in payloads]
