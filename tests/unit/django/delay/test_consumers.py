"""``asgi.delay`` served by a consumer: the channel layer keeps the messages."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from routechan.layers import InMemoryChannelLayer
from routechan.worker import Worker
from routechan_django.delay.models import DelayedMessage
from routechan_django.layer import ChannelLayerWrapper


@pytest.fixture
def served() -> ChannelLayerWrapper:
    """A layer whose routing names the consumer as users do, by its path."""
    return ChannelLayerWrapper(
        InMemoryChannelLayer().sync, "default", {"asgi.delay": "routechan_django.delay.consumers.send_later"}
    )


def serve_one(layer: ChannelLayerWrapper) -> None:
    worker = Worker(layer, signal_handlers=False, finished=lambda: worker.stop())
    worker.run()


def arrived(layer: ChannelLayerWrapper) -> Any:
    for _ in range(20):
        channel, content = layer.receive(["test"], block=True)
        if channel is not None:
            return content
    raise AssertionError("nothing arrived")


def test_kept_by_the_layer(served: ChannelLayerWrapper) -> None:
    """DL-02: milliseconds; it arrives when they have passed, in order of when it is due, and there is no row."""
    for delay, text in [(200, "second"), (60, "first"), (-1, "at once")]:
        served.send("asgi.delay", {"channel": "test", "content": {"text": text, "bytes": b"\xff"}, "delay": delay})
        serve_one(served)
    assert served.receive(["test"]) == ("test", {"text": "at once", "bytes": b"\xff"})
    assert served.receive(["test"]) == (None, None)
    assert [arrived(served)["text"] for _ in range(2)] == ["first", "second"]
    assert DelayedMessage.objects.count() == 0


def test_milliseconds(served: ChannelLayerWrapper) -> None:
    """DL-02: the layer is given seconds."""
    send = served.channel_layer.send
    served.send("asgi.delay", {"channel": "test", "content": {}, "delay": 60_500})
    with mock.patch.object(type(served.channel_layer), "send", side_effect=send) as sent:
        serve_one(served)
    assert sent.call_args.args == ("test", {}, 60.5)


@pytest.mark.parametrize("delay", ["soon", 10**14])
def test_what_cannot_be_served(served: ChannelLayerWrapper, caplog: pytest.LogCaptureFixture, delay: Any) -> None:
    """DL-09, DL-10: it is logged as an error of the consumer; so is a delay beyond what a layer keeps."""
    served.send("asgi.delay", {"channel": "test", "content": {}, "delay": delay})
    serve_one(served)
    assert "Error in consumer routechan_django.delay.consumers.send_later" in caplog.text
