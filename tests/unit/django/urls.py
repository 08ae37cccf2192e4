"""One view, to see that Django's HTTP side is untouched; and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello from a view")


urlpatterns = [path("hello/", hello), path("admin/", admin.site.urls)]
