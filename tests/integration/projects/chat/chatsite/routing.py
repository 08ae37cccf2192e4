from channels import include

channel_routing = [
    # The sockets of the browsers.
    include("rooms.routing.websocket_routing", path=r"^/chat/stream"),
    # What the receive consumer sends on; these messages have no path (UE-05).
    include("rooms.routing.custom_routing"),
]
