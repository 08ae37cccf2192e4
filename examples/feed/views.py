"""The page, which publishes too, and the latest notices for pages that were away for too long."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from .models import MAX_TEXT, Notice, latest

#: How many notices a page shows.
SHOWN = 20


class NoticeForm(forms.Form):
    text = forms.CharField(max_length=MAX_TEXT)


def index(request: HttpRequest) -> HttpResponse:
    """The feed; a POST publishes."""
    transport = "sse" if request.GET.get("transport") == "sse" else "websocket"
    form = NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        Notice.objects.create(text=form.cleaned_data["text"])
        if request.headers.get("X-Requested-With"):
            return HttpResponse(status=204)
        return redirect(f"{reverse('feed:index')}?transport={transport}")
    context = {
        "notices": latest(SHOWN),
        "form": form,
        "transport": transport,
        "max_text": MAX_TEXT,
        "socket": "/ws/feed/",
    }
    return render(request, "feed/index.html", context, status=400 if form.errors else 200)


def newest(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"notices": latest(SHOWN)})
