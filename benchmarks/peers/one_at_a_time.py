"""The 1.x face, one send and one receive after the other. Runs on Python 3.6 as well."""

import json
import sys
import time


def make(name, url):
    if name == "asgi_redis":
        from asgi_redis import RedisChannelLayer  # noqa: PLC0415 - only one of the two is installed

        return RedisChannelLayer(hosts=[url])
    from routechan.layers import RedisChannelLayer  # noqa: PLC0415

    return RedisChannelLayer(hosts=[url]).sync


def pairs(layer, seconds, size):
    """Send and receive pairs per second."""
    clock = time.perf_counter
    began = clock()
    done = 0
    while clock() - began < seconds:
        layer.send("one-at-a-time", {"text": "x" * size, "number": done})
        name, message = layer.receive(["one-at-a-time"])
        if name is None or message["number"] != done:
            raise ValueError(f"received {message!r} of {name!r} where {done} was due")
        done += 1
    return done / (clock() - began)


def main():
    spec = json.loads(sys.argv[1])
    layer = make(spec["layer"], spec["url"])
    pairs(layer, spec["warmup"], spec["size"])
    print(json.dumps({"ready": True}), flush=True)
    if sys.stdin.readline():
        print(json.dumps({"rate": pairs(layer, spec["seconds"], spec["size"])}), flush=True)


if __name__ == "__main__":
    main()
