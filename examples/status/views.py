"""A page for each client id."""

from __future__ import annotations

import secrets

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render


def index(request: HttpRequest) -> HttpResponse:
    """A new id of one's own."""
    return redirect("status:client", client_id=secrets.token_hex(3))


def client(request: HttpRequest, client_id: str) -> HttpResponse:
    return render(request, "status/client.html", {"client_id": client_id, "socket": f"/ws/status/{client_id}"})
