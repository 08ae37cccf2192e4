"""Echoes JSON, on the stream it came on; ``{"bye": code}`` is answered by a close, a question by its JSON in a list.

``{"ask": question}`` has the page asked, and its answer sent back.

Bytes come back as they are. Below ``/ws/blocked/`` no WebSocket gets through.
"""

from __future__ import annotations

import json
from typing import Any

from routechan import DenyConnection, route
from routechan.exceptions import NotAnswered


def ws_connect(message: Any) -> None:
    if message["path"].startswith("/ws/blocked/") and message.get("transport") != "sse":
        raise DenyConnection
    message.reply_channel.send({"accept": True, "text": json.dumps({"hello": message["path"]})})


def ws_receive(message: Any) -> None:
    if "bytes" in message:
        message.reply_channel.send({"bytes": message["bytes"]})
        return
    content = json.loads(message["text"])
    if "question_number" in message:
        if content is not None:
            message.answer({"text": json.dumps([content])})
        return
    if "ask" in content:
        try:
            answer = message.reply_channel.ask({"text": json.dumps(content["ask"])})
        except NotAnswered as error:
            answer = {"text": json.dumps(error.why)}
        message.reply_channel.send(answer)
        return
    if "bye" in content:
        message.reply_channel.send({"close": content["bye"]})
    else:
        message.reply_channel.send({"text": message["text"]})


channel_routing = [
    route("websocket.connect", ws_connect, path=r"^/ws/"),
    route("websocket.receive", ws_receive, path=r"^/ws/"),
]
