"""The page that asks for a room, and the room."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from .forms import ROOM_CHARACTERS, RoomForm
from .frames import MAX_MESSAGE, MAX_NAME

SUGGESTED_ROOMS = ("lobby", "django", "help")


def index(request: HttpRequest) -> HttpResponse:
    """Ask for a room. Without JavaScript the form leads to a redirect to the room."""
    form = RoomForm(request.GET) if "room" in request.GET else RoomForm()
    if form.is_bound and form.is_valid():
        name = form.cleaned_data["name"]
        query = f"?{urlencode({'name': name})}" if name and not request.user.is_authenticated else ""
        return redirect(reverse("chat:room", args=[form.cleaned_data["room"]]) + query)
    context = {"form": form, "rooms": SUGGESTED_ROOMS, "characters": ROOM_CHARACTERS, "max_name": MAX_NAME}
    return render(request, "chat/index.html", context, status=400 if form.is_bound else 200)


def room(request: HttpRequest, room: str) -> HttpResponse:
    consumers = "async" if request.GET.get("consumers") == "async" else "sync"
    context = {
        "room": room,
        "consumers": consumers,
        "socket": f"/ws/{'achat' if consumers == 'async' else 'chat'}/{room}/",
        "name": request.GET.get("name", "")[:MAX_NAME],
        "max_message": MAX_MESSAGE,
        "max_name": MAX_NAME,
    }
    return render(request, "chat/room.html", context)
