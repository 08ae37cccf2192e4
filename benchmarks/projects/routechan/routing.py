"""The consumers of ``routes.py``, and its echo behind the decorators of sessions, users and order."""

from __future__ import annotations

import routes

from routechan import route
from routechan_django.auth import channel_session_user, channel_session_user_from_http
from routechan_django.sessions import enforce_ordering

KINDS = {"sync": (routes.accept, routes.echo), "async": (routes.aaccept, routes.aecho)}

#: What stands before connect and before receive, by the folder of the path.
DECORATORS = {
    "user": (channel_session_user, channel_session_user),
    "from_http": (channel_session_user_from_http, channel_session_user),
    "ordered": (enforce_ordering, enforce_ordering),
}

routing = list(routes.routing)
for folder, (before_connect, before_receive) in DECORATORS.items():
    for kind, (accept, echo) in KINDS.items():
        routing += [
            route("websocket.connect", before_connect(accept), path=rf"^/{folder}/{kind}$"),
            route("websocket.receive", before_receive(echo), path=rf"^/{folder}/{kind}$"),
        ]
