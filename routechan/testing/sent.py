"""What was sent in a test: ``sent.group("chat")``, ``sent.channel("thumbnail")``."""

from __future__ import annotations

from ..encoding import Content
from ..inspection import with_article
from ..layers import DEFAULT_CHANNEL_LAYER, channel_layers
from ..layers.recording import RecordingSyncLayer, Sent


class SentMessages:
    """Looks at what was sent since the test began, read or not; the oldest first. Lifetime: process."""

    def channel(self, name: str, alias: str = DEFAULT_CHANNEL_LAYER) -> list[Content]:
        """The contents that were sent to the channel ``name`` of the layer ``alias``."""
        return [sent.content for sent in self.all(alias) if sent.name == name and not sent.to_group]

    def group(self, name: str, alias: str = DEFAULT_CHANNEL_LAYER) -> list[Content]:
        """The contents that were sent to the group ``name`` of the layer ``alias``, whether it had members or not."""
        return [sent.content for sent in self.all(alias) if sent.name == name and sent.to_group]

    def all(self, alias: str = DEFAULT_CHANNEL_LAYER) -> list[Sent]:
        """All sends on the layer ``alias``, each with ``to_group``, ``name``, ``content`` and ``delay``.

        Raises:
            TypeError: The layer does not keep what is sent on it.
        """
        face = channel_layers[alias].layer.sync
        if not isinstance(face, RecordingSyncLayer):
            raise TypeError(
                f"the layer {alias!r} is {with_article(type(face.layer).__name__)}, which keeps no record; what was "
                "sent can be seen on the layers in memory that tests have: in fresh_layer(), or in Django outside "
                "use_test_config()"
            )
        return list(face.sent)


#: What was sent in the test that is running.
sent = SentMessages()
