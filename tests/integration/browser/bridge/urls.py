"""A page with the plain script of 1.x, one with ours, one with the module; each leaves a bridge in ``bridge``.

And what a bundler has built, if ``PACKAGE`` in the environment says where that is.
"""

from __future__ import annotations

import json
import os

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import path
from django.views.static import serve

from routechan import Group

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>bridge</title>
<link rel="icon" href="data:,">
%s
</html>
"""
PLAIN = '<script src="%s"></script><script>const bridge = new %s.WebSocketBridge();</script>'
MODULE = '<script type="module">import {WebSocketBridge} from "%s"; window.bridge = new WebSocketBridge();</script>'


def old(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE % PLAIN % (static("channels/js/websocketbridge.js"), "channels"))


def new(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE % PLAIN % (static("routechan/websocketbridge.js"), "routechan"))


def module(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE % MODULE % static("routechan/websocketbridge.mjs"))


def publish(request: HttpRequest, feed: str, first: int, count: int) -> HttpResponse:
    """Sends so many numbers to both groups of the feed."""
    for number in range(first, first + count):
        for name in ("a", "b"):
            Group(f"feed-{feed}-{name}").send({"text": json.dumps({"stream": name, "payload": number})})
    return HttpResponse()


urlpatterns = [
    path("publish/<str:feed>/<int:first>/<int:count>/", publish),
    path("old/", old),
    path("new/", new),
    path("module/", module),
    path("package/<path:path>", serve, {"document_root": os.environ.get("PACKAGE", "")}),
]
