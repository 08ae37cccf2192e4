"""A script without an event loop that sends to a group, as a command or a task does."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from makers import MAKERS

GROUP = "members"


def sender(name: str, url: str) -> Callable[[dict[str, Any]], object]:
    """How that library sends to a group from such a script."""
    layer = MAKERS[name](url)
    if name == "routechan":
        return lambda content: layer.sync.send_group(GROUP, content)
    send = async_to_sync(layer.group_send)
    return lambda content: send(GROUP, content)


def main() -> None:
    """At most ``window`` messages are on the way; a byte of ``ack`` tells that one has reached all members."""
    spec = json.loads(sys.argv[1])
    send = sender(spec["layer"], spec["url"])
    sent = acked = 0

    def sends(seconds: float) -> float:
        nonlocal sent, acked
        began, before = time.perf_counter(), sent
        while time.perf_counter() - began < seconds:
            while sent - acked >= spec["window"]:
                acked += len(os.read(spec["ack"], 65536))
            send({"type": "chat.message", "text": "x" * spec["size"], "round": sent})
            sent += 1
        return (sent - before) / (time.perf_counter() - began)

    sends(spec["warmup"])
    print(json.dumps({"ready": True}), flush=True)
    if sys.stdin.readline():
        rate = sends(spec["seconds"])
        while acked < sent:
            acked += len(os.read(spec["ack"], 65536))
        print(json.dumps({"rate": rate, "sent": sent}), flush=True)


if __name__ == "__main__":
    main()
