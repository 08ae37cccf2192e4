"""One view, to see that Django's HTTP side is untouched."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello from a view")


urlpatterns = [path("hello/", hello)]
