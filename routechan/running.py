"""Says to servers which of their events are being run here, again and again, as long as they are."""

from __future__ import annotations

import logging
import threading
import time

from .exceptions import ChannelFull, ChannelLayerUnavailable
from .layers.base import SyncChannelLayer
from .relaying import SAID_EVERY, Mark, running_note

logger = logging.getLogger("routechan")


class Running:
    """The events being run. Lifetime: that of what runs them, until ``stop``.

    A thread of its own speaks, so that a consumer that holds up an event loop is not taken for dead. Short events cost
    nothing: only what has been running for a while is spoken of.
    """

    def __init__(self, layer: SyncChannelLayer) -> None:
        self._layer = layer
        self._since: dict[Mark, float] = {}
        self._stopped = threading.Event()
        self._speaker: threading.Thread | None = None

    def add(self, mark: Mark) -> None:
        self._since[mark] = time.monotonic()
        if self._speaker is None:
            self._speaker = threading.Thread(target=self._speak, name="routechan-running", daemon=True)
            self._speaker.start()

    def remove(self, mark: Mark) -> None:
        self._since.pop(mark, None)

    def stop(self) -> None:
        self._stopped.set()

    def _speak(self) -> None:
        while not self._stopped.wait(SAID_EVERY):
            now = time.monotonic()
            running: dict[str, list[int]] = {}
            for mark, since in tuple(self._since.items()):
                if now - since > SAID_EVERY:
                    running.setdefault(mark.notes, []).append(mark.number)
            for notes, numbers in running.items():
                try:
                    self._layer.send(notes, running_note(numbers))
                except (ChannelFull, ChannelLayerUnavailable) as error:
                    logger.debug("Could not say what is being run: %s", error)
                except Exception:  # it has to go on speaking
                    logger.exception("Saying what is being run failed")
