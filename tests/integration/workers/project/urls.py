"""One WSGI view, which sends to a group."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from routechan import Group


def say(request: HttpRequest, text: str) -> HttpResponse:
    Group("everyone").send({"text": text})
    return HttpResponse("said")


urlpatterns = [path("say/<str:text>/", say)]
