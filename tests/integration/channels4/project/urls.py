"""Views, plain ones: sync code outside of any consumer."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponse
from django.urls import path

from routechan import Group


def send_as_channels(request: HttpRequest, group: str, text: str) -> HttpResponse:
    async_to_sync(get_channel_layer().group_send)(group, {"type": "group.said", "text": text})
    return HttpResponse("sent")


def send_as_routechan(request: HttpRequest, group: str, text: str) -> HttpResponse:
    Group(group).send({"type": "group.said", "text": text})
    return HttpResponse("sent")


def send_invoice(request: HttpRequest, group: str, number: int) -> HttpResponse:
    async_to_sync(get_channel_layer().send)("invoices", {"group": group, "number": number})
    return HttpResponse("sent")


urlpatterns = [
    path("channels/<slug:group>/<slug:text>/", send_as_channels),
    path("routechan/<slug:group>/<slug:text>/", send_as_routechan),
    path("invoice/<slug:group>/<int:number>/", send_invoice),
]
