"""The counters of this process as Prometheus metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..exceptions import MissingExtra
from ..telemetry.counters import BOUNDS, counters
from .layers import LayerFigures, layers_in_use

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

try:
    import prometheus_client
    from prometheus_client import core
except ImportError:  # an extra
    prometheus_client = None  # type: ignore[assignment]


def exposition() -> tuple[bytes, str]:
    """The metrics page of this process, and its content type.

    Blocks while the layers are asked, for up to ``layers.STATISTICS_TIMEOUT`` seconds; use ``aexposition`` on an event
    loop.

    Raises:
        MissingExtra: The package prometheus_client is not installed.
    """
    client = _client()
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(collector())
    client.ProcessCollector(registry=registry)
    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST


async def aexposition() -> tuple[bytes, str]:
    """The async twin of ``exposition``.

    Returns:
        The page and its content type.
    """
    _client()
    return await asyncio.to_thread(exposition)


def collector() -> Collector:
    """A collector for your own registry: ``REGISTRY.register(collector())``.

    It reads the counters at each scrape.

    Raises:
        MissingExtra: The package prometheus_client is not installed.
    """
    _client()
    return _Collector()


def _client() -> Any:
    if prometheus_client is None:
        raise MissingExtra("Metrics need the package prometheus_client", "metrics")
    return prometheus_client


class _Collector:
    """Yields all metric families. Lifetime: that of its registry."""

    def describe(self) -> list[Any]:
        """No metrics: without this method, registering would call ``collect``, which asks the layers."""
        return []

    def collect(self) -> Iterator[Any]:
        yield from _sockets()
        yield from _messages()
        yield from _consumers()
        yield from _relay()
        yield from _layers(layers_in_use.figures())


def _counter(name: str, meaning: str, value: float) -> Any:
    return core.CounterMetricFamily(f"routechan_{name}", meaning, value=value)


def _gauge(name: str, meaning: str, value: float) -> Any:
    return core.GaugeMetricFamily(f"routechan_{name}", meaning, value=value)


def _labelled(
    family: Any, name: str, meaning: str, labels: tuple[str, ...], values: dict[tuple[str, ...], float]
) -> Any:
    metric = family(f"routechan_{name}", meaning, labels=labels)
    for label, value in values.items():
        metric.add_metric(label, value)
    return metric


def _sockets() -> Iterator[Any]:
    c = counters
    yield _gauge("sockets_open", "WebSockets that are open, or being opened, in this process.", c.sockets_open)
    yield _counter("sockets_opened", "WebSockets that were not refused before a consumer saw them.", c.sockets_opened)
    yield _gauge("requests_open", "HTTP requests that a consumer is answering.", c.requests_open)
    yield _counter("requests_opened", "HTTP requests that were handed to a consumer.", c.requests_opened)
    yield _counter("socket_messages_received", "WebSocket messages from clients.", c.frames_received)
    yield _counter("socket_messages_sent", "WebSocket messages to clients.", c.frames_sent)
    yield _counter("socket_messages_dropped", "Messages that a slow client did not take.", c.frames_dropped)
    yield _counter(
        "socket_messages_replaced", "Messages that a slow client was sent a later one of.", c.frames_replaced
    )
    yield _counter("answers_late", "Answers of clients that nobody waited for any more.", c.answers_late)
    yield _labelled(
        core.CounterMetricFamily,
        "slow_readers",
        "Slow clients: times reading from one was paused, and connections closed with 1013.",
        ("action",),
        {("paused",): c.readers_paused, ("closed",): c.readers_closed},
    )
    yield _labelled(
        core.CounterMetricFamily,
        "limited",
        "Times a limit was met.",
        ("limit",),
        {(limit,): count for limit, count in c.limited.items()},
    )


def _messages() -> Iterator[Any]:
    c = counters
    yield _labelled(
        core.CounterMetricFamily,
        "messages_received",
        "Messages received for the consumers of this process.",
        ("channel",),
        {(channel,): count for channel, count in tuple(c.received.items())},
    )
    yield _counter("messages_unrouted", "Messages that matched no route; they are dropped.", c.unrouted)
    yield _counter("messages_sent", "Messages sent to channels and groups by this process.", c.sent)
    yield _counter("messages_lost", "Messages sent that could not be delivered.", c.lost)
    yield _counter("history_gaps", "Times members of a group missed what its history no longer had.", c.history_gaps)


def _consumers() -> Iterator[Any]:
    all_figures = tuple(counters.consumers.values())
    duration = core.HistogramMetricFamily(
        "routechan_consumer_duration_seconds",
        "How long consumers ran, from start to end; for streams, to the end of the stream.",
        labels=("consumer",),
    )
    for figures in all_figures:
        total, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), tuple(figures.buckets), strict=True):
            total += count
            buckets.append((bound, total))
        duration.add_metric((figures.name,), buckets, figures.seconds)
    yield duration
    yield _labelled(
        core.CounterMetricFamily,
        "consumer_failures",
        "Runs that ended with an error: an exception other than those that answer a message.",
        ("consumer",),
        {(figures.name,): figures.failures for figures in all_figures},
    )
    yield _labelled(
        core.GaugeMetricFamily,
        "consumers_running",
        "Consumers that are running now.",
        ("consumer",),
        {(figures.name,): len(figures.running) for figures in all_figures},
    )
    yield _gauge(
        "consumer_longest_running_seconds",
        "How long the oldest of the running consumers has been running.",
        max((figures.longest() for figures in all_figures), default=0.0),
    )


def _relay() -> Iterator[Any]:
    c = counters
    yield _counter("events_relayed", "Events of sockets and requests that were handed to workers.", c.events_relayed)
    yield _gauge("events_waiting", "Relayed events whose outcome is not known yet.", c.events_waiting)
    yield _labelled(
        core.CounterMetricFamily,
        "events_lost",
        "Relayed events without an outcome: their worker died, they took too long, or the layer refused them.",
        ("reason",),
        {("worker",): c.events_lost, ("late",): c.events_late, ("refused",): c.events_refused},
    )


_LAYER_COUNTS = {
    "messages_count": ("messages", "Messages that were sent"),
    "channel_full_count": ("full", "Messages that were refused because their channel was full"),
    "dropped_count": ("dropped", "Messages that were dropped"),
    "expired_count": ("expired", "Messages that expired unread"),
}


def _layers(layers: list[LayerFigures]) -> Iterator[Any]:
    yield _labelled(
        core.GaugeMetricFamily,
        "layer_up",
        "Whether the channel layer answered.",
        ("layer",),
        {(layer.alias,): layer.up for layer in layers},
    )
    for count, (name, meaning) in _LAYER_COUNTS.items():
        yield _labelled(
            core.CounterMetricFamily,
            f"layer_{name}",
            f"{meaning}, counted by all processes of the layer together.",
            ("layer",),
            {(layer.alias,): layer.counts[count] for layer in layers if layer.up},
        )
    channels = {(layer.alias, channel): figures for layer in layers for channel, figures in layer.channels.items()}
    labels = ("layer", "channel")
    for count, (name, meaning) in _LAYER_COUNTS.items():
        yield _labelled(
            core.CounterMetricFamily,
            f"channel_{name}",
            f"{meaning}, by channel, counted by all processes of the layer together.",
            labels,
            {key: figures[count] for key, figures in channels.items()},
        )
    yield _labelled(
        core.GaugeMetricFamily,
        "channel_waiting_messages",
        "Messages waiting in the channel.",
        labels,
        {key: figures["messages_pending"] for key, figures in channels.items()},
    )
    yield _labelled(
        core.GaugeMetricFamily,
        "channel_oldest_seconds",
        "How long the oldest message of the channel has waited.",
        labels,
        {key: figures["messages_max_age"] for key, figures in channels.items()},
    )
