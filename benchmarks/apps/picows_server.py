"""Echo and fan-out on picows alone, with no ASGI and no library: the limit of what Python can do here.

``python picows_server.py PORT``
"""

from __future__ import annotations

import sys

import picows
import uvloop

members: set[picows.WSTransport] = set()


class Echo(picows.WSListener):
    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.TEXT:
            transport.send(picows.WSMsgType.TEXT, frame.get_payload_as_bytes())
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()


class FanOut(Echo):
    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        members.add(transport)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        members.discard(transport)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type != picows.WSMsgType.TEXT:
            return super().on_ws_frame(transport, frame)
        payload = frame.get_payload_as_bytes()
        for member in tuple(members):
            member.send(picows.WSMsgType.TEXT, payload)
        return None


def listener(request: picows.WSUpgradeRequest) -> picows.WSListener:
    return FanOut() if request.path.startswith(b"/fanout") else Echo()


async def main() -> None:
    server = await picows.ws_create_server(listener, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
