"""One page for all: it opens the socket at its own path and shows what comes."""

from __future__ import annotations

from django.shortcuts import render


def page(request, title, about, source, leave=False, room=None, group=None):
    name = room or group
    context = {
        "title": f"{title} {name}" if name else title,
        "about": about,
        "source": source,
        "leave": leave,
        "socket": request.path,
    }
    return render(request, "groupchat/page.html", context)
