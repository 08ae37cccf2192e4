"""``manage.py channelroutes [PATH] [--group NAME]``: the routing as a table, or the consumers of one path or group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routechan.encoding import Content
from routechan.exceptions import UnknownChannelLayer
from routechan.inspection import name_that_thing
from routechan.layers import DEFAULT_CHANNEL_LAYER
from routechan.layers.presence import PRESENCE_CHANNELS
from routechan.message import Message
from routechan.routing import Include, Route, RouteLike, Router

from ...asgi import get_channel_layer

EVENTS = ("websocket.connect", "websocket.receive", "websocket.disconnect", "http.request")

#: What happens to an event that matches no route, on a socket that is not refused.
WITHOUT_ROUTE = {
    "websocket.connect": "(no route: accepted)",
    "websocket.receive": "(no route: ignored)",
    "websocket.disconnect": "(no route: ignored)",
    "http.request": "(no route: Django's views)",
}


class Command(BaseCommand):
    """The command. Lifetime: process."""

    help = "Lists the routes of a channel layer; with a path, the consumer each event of it reaches."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("path", nargs="?", help="a path such as /chat/django/")
        parser.add_argument("--group", help="a group, for the consumers of its joins and leaves")
        parser.add_argument("--layer", default=DEFAULT_CHANNEL_LAYER, help="alias of the layer (default: default)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the table; ``CommandError`` for an unknown layer or a path without its slash."""
        try:
            router = get_channel_layer(options["layer"]).router
        except UnknownChannelLayer as error:
            raise CommandError(str(error)) from error
        path, group = options["path"], options["group"]
        if group is not None:
            rows = [_consumer_row(router, event, {"group": group}) for event in sorted(PRESENCE_CHANNELS)]
            self._print_table(["event", "consumer", "arguments"], rows)
            return
        if path is None:
            self._print_table(["channel", "filters", "consumer"], list(_route_rows(router.root.routing, "")))
            return
        if not path.startswith("/"):
            raise CommandError(f"a path begins with a slash: write /{path}")
        self._print_table(
            ["event", "consumer", "arguments"], [_consumer_row(router, event, {"path": path}) for event in EVENTS]
        )
        if not router.serves(EVENTS[:3], {"path": path}):
            self.stdout.write("\nNo event of a socket on this path reaches a consumer: the socket is refused.")

    def _print_table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if not rows:
            self.stdout.write("The routing is empty.")
            return
        widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
        for row in [heads, ["-" * width for width in widths], *rows]:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _route_rows(routes: Sequence[RouteLike], prefix: str) -> Iterator[list[str]]:
    for entry in routes:
        if isinstance(entry, Include):
            prefixes = " ".join(f"{key}={pattern.pattern}" for key, pattern in entry.prefixes.items())
            yield from _route_rows(entry.routing, f"{prefix}{prefixes} > " if prefixes else prefix)
        elif isinstance(entry, Route):
            filters = " ".join(f"{key}={pattern.pattern}" for key, pattern in entry.filters.items())
            for channel in entry.channels:
                yield [channel, prefix + (filters or "-"), name_that_thing(entry.consumer)]
        else:
            for channel in sorted(entry.channel_names()):
                yield [channel, f"{prefix}({name_that_thing(entry)})", "decided by the entry"]


def _consumer_row(router: Router, event: str, content: Content) -> list[str]:
    matched = router.root.match(Message(content, event, None))
    if matched is None:
        return [event, WITHOUT_ROUTE.get(event, "(no route: not told)"), "-"]
    consumer, kwargs = matched
    arguments = " ".join(f"{key}={value!r}" for key, value in kwargs.items())
    return [event, name_that_thing(consumer), arguments or "-"]
