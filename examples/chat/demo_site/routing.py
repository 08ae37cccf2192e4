"""Every socket of the demo: each example brings its own routing."""

from __future__ import annotations

from routechan import include

channel_routing = [
    include("chat.routing.channel_routing", path=r"^/ws"),
    include("feed.routing.channel_routing", path=r"^/ws"),
    include("status.routing.channel_routing", path=r"^/ws"),
    include("ticker.routing.channel_routing", path=r"^/ws"),
    include("chat.routing.told"),
    include("presence.routing.channel_routing"),
    include("groupchat.routing.channel_routing"),
]
