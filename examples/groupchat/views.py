"""One page for all: it opens the socket at its own path and shows what comes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def page(
    request: HttpRequest,
    title: str,
    about: str,
    source: str,
    leave: bool = False,
    room: str | None = None,
    group: str | None = None,
) -> HttpResponse:
    name = room or group
    context = {
        "title": f"{title} {name}" if name else title,
        "about": about,
        "source": source,
        "leave": leave,
        "socket": request.path,
    }
    return render(request, "groupchat/page.html", context)
