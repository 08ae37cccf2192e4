"""The WebSocket protocol of our own."""
