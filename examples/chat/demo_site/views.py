"""The front page and the login page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .demo_users import NAMES, PASSWORD


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "index.html")


class Login(LoginView):
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        demo = {"demo_users": NAMES, "demo_password": PASSWORD} if settings.DEBUG else {}
        return super().get_context_data(**kwargs, **demo)
