"""The page with the two counters."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

COUNTERS = [
    {"id": "plain", "socket": "/ws/ticker/", "title": "A plain generator", "code": "def count(message):"},
    {"id": "async", "socket": "/ws/aticker/", "title": "An async generator", "code": "async def acount(message):"},
]


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "ticker/index.html", {"counters": COUNTERS})
