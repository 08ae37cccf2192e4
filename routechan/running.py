"""Says to servers which of their events are being run here, again and again, as long as they are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from .encoding import Content
from .exceptions import ChannelFull, ChannelLayerUnavailable
from .layers.base import SyncChannelLayer
from .relaying import SAID_EVERY, Mark, mark_of, running_note

logger = logging.getLogger("routechan")


class Running:
    """The events being run. Lifetime: that of what runs them, until ``stop``.

    A thread of its own speaks, so that a consumer that holds up an event loop is not taken for dead; it speaks too of
    what the layer has fetched for that loop meanwhile, which ``held`` gives. Short events cost nothing: only what has
    been running for a while is spoken of.
    """

    def __init__(self, layer: SyncChannelLayer, held: Callable[[], Iterable[Content]] = tuple) -> None:
        self._layer = layer
        self._held = held
        self._since: dict[Mark, float] = {}
        self._stopped = threading.Event()
        self._speaker: threading.Thread | None = None

    def start(self) -> None:
        """Begin to speak, unless it has begun."""
        if self._speaker is None:
            self._speaker = threading.Thread(target=self._speak, name="routechan-running", daemon=True)
            self._speaker.start()

    def add(self, mark: Mark) -> None:
        self.start()
        self._since[mark] = time.monotonic()

    def remove(self, mark: Mark) -> None:
        self._since.pop(mark, None)

    def stop(self) -> None:
        self._stopped.set()

    def _speak(self) -> None:
        while not self._stopped.wait(SAID_EVERY):
            try:
                for notes, numbers in self._to_say().items():
                    self._say(notes, numbers)
            except Exception:  # it has to go on speaking
                logger.exception("Saying what is being run failed")

    def _to_say(self) -> dict[str, list[int]]:
        """Where servers take notes -> the numbers of their events."""
        held = [mark_of(content) for content in self._held()]  # first: from there they come to the others
        now = time.monotonic()
        marks = {mark for mark, since in tuple(self._since.items()) if now - since > SAID_EVERY}
        found: dict[str, list[int]] = {}
        for mark in marks.union(mark for mark in held if mark is not None):
            found.setdefault(mark.notes, []).append(mark.number)
        return found

    def _say(self, notes: str, numbers: list[int]) -> None:
        try:
            self._layer.send(notes, running_note(numbers))
        except (ChannelFull, ChannelLayerUnavailable) as error:
            logger.debug("Could not say what is being run: %s", error)
