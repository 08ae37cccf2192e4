"""A page for each client id."""

from __future__ import annotations

import secrets

from django.shortcuts import redirect, render


def index(request):
    """A new id of one's own."""
    return redirect("status:client", client_id=secrets.token_hex(3))


def client(request, client_id):
    return render(request, "status/client.html", {"client_id": client_id, "socket": f"/ws/status/{client_id}"})
