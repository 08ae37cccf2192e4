"""A server process that runs the consumers of ``people`` itself."""

from __future__ import annotations

from routechan import application

from .layer import shared_layer
from .people import channel_routing

app = application(channel_routing, shared_layer())
