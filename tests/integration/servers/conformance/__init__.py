"""The conformance suite of RFC 6455, played against each ASGI server with an application of ours behind it."""
