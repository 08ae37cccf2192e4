"""A panel for django-debug-toolbar: what a request has sent to channels and groups."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from routechan.concurrency import running_loop
from routechan.sending.notes import AT_ONCE, Note, Notes, noting

from .asgi import channel_layers

if TYPE_CHECKING:
    Panel = Any
else:
    try:
        from debug_toolbar.panels import Panel
    except ImportError:  # an extra; without it nobody loads the panel
        Panel = object

#: Of how many groups the members are counted.
MOST_GROUPS = 10


class ChannelsPanel(Panel):  # type: ignore[misc]
    """The panel: write ``"routechan_django.debug_toolbar.ChannelsPanel"`` into ``DEBUG_TOOLBAR_PANELS``.

    It notes what the code of the request sends itself, in its thread or task; not what consumers send that run
    elsewhere. Lifetime: request.
    """

    is_async = True
    title = nav_title = "Channels"
    template = "routechan_django/panel.html"

    #: What was sent, and the block in which that is noted.
    notes: Notes | None = None
    _block: AbstractContextManager[Notes] | None = None

    @property
    def nav_subtitle(self) -> str:
        """How many messages were sent, for the side bar."""
        count = self.get_stats().get("count", 0)
        return f"{count} message{'' if count == 1 else 's'} sent"

    @property
    def has_content(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.get_stats().get("count"))

    def enable_instrumentation(self) -> None:
        """Begin to note what is sent."""
        if self._block is None:
            self._block = noting()
            self.notes = self._block.__enter__()

    def disable_instrumentation(self) -> None:
        """End that."""
        block, self._block = self._block, None
        if block is not None:
            block.__exit__(None, None, None)

    def generate_stats(self, request: Any, response: Any) -> None:
        """Hand what was sent to the toolbar, as JSON can carry it.

        Args:
            request: The request; unused.
            response: The response; unused.
        """
        notes = self.notes or Notes()
        members = _members(notes.kept)
        rows = [
            {
                "kind": "group" if note.is_group else "channel",
                "name": note.name,
                "alias": note.alias,
                "members": members.get((note.alias, note.name)) if note.is_group else None,
                "content": note.content,
                "when": f"{note.when}, after {note.delay:g} s" if note.delay else note.when,
                "waits": note.when != AT_ONCE,
                "place": note.place,
            }
            for note in notes.kept
        ]
        self.record_stats({"count": notes.count, "more": notes.count - len(rows), "sent": rows})


def _members(kept: list[Note]) -> dict[tuple[str, str], int]:
    """How many members the first of the groups have now, where a layer can be asked from here."""
    found: dict[tuple[str, str], int] = {}
    groups = list(dict.fromkeys((note.alias, note.name) for note in kept if note.is_group))
    if running_loop() is not None:  # asking would hold up the event loop
        return found
    for alias, name in groups[:MOST_GROUPS]:
        try:
            found[alias, name] = channel_layers[alias].group_count(name)
        except Exception:  # a panel must not break the page: the layer may be away, or of another make
            break
    return found
