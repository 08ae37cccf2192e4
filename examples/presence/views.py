"""One page: without a name it asks for one."""

from __future__ import annotations

from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def index(request: HttpRequest) -> HttpResponse:
    name = request.GET.get("name", "").strip().replace("/", "")[:40]
    return render(request, "presence/index.html", {"name": name, "socket": f"/ws/presence/{quote(name)}/"})
