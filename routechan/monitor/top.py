"""A live table of processes, channels and consumers in the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any

from ..exceptions import ChannelLayerUnavailable, MissingExtra
from ..layers.base import BaseChannelLayer
from .reports import Question
from .snapshots import Snapshot, channel_rows, consumer_rows, look, process_rows

try:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError:  # an extra
    Console = None  # type: ignore[assignment,misc]

#: Seconds to wait for the answers of processes. A process whose event loop is blocked does not answer in time.
ANSWER_TIMEOUT = 1.0

#: The width in characters of a page that is not printed to a terminal.
PLAIN_WIDTH = 180

#: The most consumers shown.
MAX_CONSUMERS = 20


def console(file: IO[str] | None = None) -> Console:
    """The rich console to print to; it writes plain text where the output is not a terminal.

    Args:
        file: The stream to write to; None for standard output.

    Raises:
        MissingExtra: The package rich is not installed.
    """
    if Console is None:
        raise MissingExtra("This view needs the package rich", "top")
    found = Console(file=file, highlight=False)
    return found if found.is_terminal else Console(file=file, highlight=False, width=PLAIN_WIDTH)


async def once(layer: BaseChannelLayer, title: str, interval: float, to: Console) -> None:
    """Take two snapshots and print one page with the rates between them.

    Args:
        layer: The layer whose processes are shown.
        title: The first line of the page.
        interval: Seconds between the snapshots.
        to: Where to print.
    """
    async with Question(layer) as question:
        before = await look(layer, question, ANSWER_TIMEOUT)
        await asyncio.sleep(interval)
        after = await look(layer, question, ANSWER_TIMEOUT)
    to.print(page(before, after, title, plain=not to.is_terminal))


async def live(layer: BaseChannelLayer, title: str, interval: float, to: Console) -> None:
    """Show a new page at every interval, until cancelled.

    A terminal shows one page that is replaced; other output gets page after page.

    Args:
        layer: The layer whose processes are shown.
        title: The first line of the page.
        interval: Seconds between the pages.
        to: Where to print.
    """
    if to.is_terminal:
        with Live(console=to, screen=True, auto_refresh=False) as display:
            await _follow(layer, title, interval, lambda shown: display.update(shown, refresh=True), plain=False)
    else:
        await _follow(layer, title, interval, to.print, plain=True)


async def _follow(
    layer: BaseChannelLayer, title: str, interval: float, show: Callable[[RenderableType], object], *, plain: bool
) -> None:
    async with Question(layer) as question:
        before: Snapshot | None = None
        while True:
            began = time.monotonic()
            try:
                after = await look(layer, question, ANSWER_TIMEOUT)
            except ChannelLayerUnavailable as error:
                show(Text(f"{title}\n\n{error}"))
            else:
                show(page(before or after, after, title, plain=plain))
                before = after
            await asyncio.sleep(max(interval - (time.monotonic() - began), 0.1))


def page(before: Snapshot, after: Snapshot, title: str, *, plain: bool = False) -> RenderableType:
    """The page that shows two snapshots.

    Args:
        before: The earlier snapshot; rates are counted from it.
        after: The later snapshot, whose state is shown.
        title: The first line.
        plain: Leave out bold type, underlines and limits on the width of columns.
    """
    parts: list[RenderableType] = [
        Text(f"{title}, {time.strftime('%H:%M:%S')}", style="bold"),
        "",
        _processes(before, after, plain),
        "",
        _channels(before, after, plain),
        "",
        _consumers(before, after, plain),
        "",
    ]
    if after.silent:
        note = f"No answer within {ANSWER_TIMEOUT:g} s from: {', '.join(after.silent)} (held up, or ended just now)"
        parts.append(Text(note, style="yellow"))
    return Group(*parts)


def _processes(before: Snapshot, after: Snapshot, plain: bool) -> RenderableType:
    table = _table(
        "Processes",
        ("kind", "host", "pid", "process", "up"),
        ("sockets", "in/s", "out/s", "running", "waiting", "failed", "lost"),
        plain,
    )
    for row in process_rows(before, after):
        table.add_row(
            row.kind,
            row.host,
            str(row.pid),
            row.process,
            seconds(row.up),
            count(row.sockets),
            rate(row.received),
            rate(row.sent),
            count(row.running),
            count(row.waiting),
            _bad(row.failed),
            _bad(row.lost),
        )
    return _or_none(table, "No server and no worker is on this layer.")


def _channels(before: Snapshot, after: Snapshot, plain: bool) -> RenderableType:
    table = _table("Channels", ("channel",), ("length", "oldest", "in/s", "dropped", "full", "expired"), plain)
    for row in channel_rows(before, after):
        table.add_row(
            row.name,
            count(row.length),
            seconds(row.oldest) if row.length else "-",
            rate(row.sent),
            _bad(row.dropped),
            _bad(row.full),
            _bad(row.expired),
        )
    return _or_none(table, "No process reads channels.")


def _consumers(before: Snapshot, after: Snapshot, plain: bool) -> RenderableType:
    table = _table(
        "Consumers", ("consumer",), ("calls/s", "busy", "mean", "p95", "running", "longest", "failed"), plain
    )
    for row in consumer_rows(before, after)[:MAX_CONSUMERS]:
        table.add_row(
            row.name,
            rate(row.calls),
            f"{row.busy:.0%}",
            "-" if row.mean is None else milliseconds(row.mean),
            "-" if row.p95 is None else milliseconds(row.p95),
            count(row.running),
            seconds(row.longest) if row.running else "-",
            _bad(row.failed),
        )
    return _or_none(table, "No consumer has run yet.")


def _table(title: str, words: Sequence[str], numbers: Iterable[str], plain: bool) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="" if plain else "bold",
        header_style="" if plain else "underline",
        box=None,
        padding=(0, 2 if plain else 1, 0, 0),
        pad_edge=False,
    )
    for name in words:
        table.add_column(name, overflow="ellipsis", max_width=None if plain else 60)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _or_none(table: Table, text: str) -> RenderableType:
    return table if table.row_count else Text(text)


def _bad(value: int) -> Text:
    """A number that should be 0: shown in red if it is not."""
    return Text(count(value), style="red" if value else "")


def count(value: int) -> str:
    """The text of an integer ``value``, with thousands separators; ``-`` for 0."""
    return f"{value:,}" if value else "-"


def rate(value: float) -> str:
    """The text of ``value`` per second; ``-`` for 0."""
    return "-" if not value else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def milliseconds(value: float) -> str:
    """The text of a duration of ``value`` seconds: in milliseconds, or as ``seconds`` does from a minute on."""
    value *= 1000
    return seconds(value / 1000) if value >= 60_000 else f"{value:,.0f} ms" if value >= 10 else f"{value:.2f} ms"


def seconds(value: float) -> str:
    """The text of a duration of ``value`` seconds, in seconds, minutes, hours or days."""
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h" if value < 2 * 86400 else f"{value / 86400:.0f} d"


def run(layer: BaseChannelLayer, title: str, *, interval: float, single: bool, file: Any = None) -> None:
    """Show the view until interrupted with Ctrl-C, or print it once.

    Args:
        layer: The layer whose processes are shown.
        title: The first line of each page.
        interval: Seconds between two snapshots.
        single: Print one page and return.
        file: The stream to write to; None for standard output.

    Raises:
        MissingExtra: The package rich is not installed.
        ChannelLayerUnavailable: The layer's server does not answer (only with ``single``).
    """
    to = console(file)
    asyncio.run((once if single else live)(layer, title, interval, to))
