channel_routing = {
    "websocket.connect": "images.consumers.ws_connect",
    "websocket.receive": "images.consumers.ws_receive",  # frames
    "websocket.disconnect": "images.consumers.ws_disconnect",
    "images.resize": "images.consumers.resize",
}
