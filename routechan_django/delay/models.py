"""Messages that wait in the database until they are due."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.db import models, router, transaction
from django.utils import timezone

from routechan.channel import Channel
from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers


class DelayedMessageQuerySet(models.QuerySet["DelayedMessage"]):
    def is_due(self) -> DelayedMessageQuerySet:
        """Those whose time has come (DL-05)."""
        due: DelayedMessageQuerySet = self.filter(due_date__lte=timezone.now())
        return due


class DelayedMessage(models.Model):
    """``content`` (a dict, as JSON) for ``channel_name`` at ``due_date``, which is in ``delay`` milliseconds.

    Lifetime: from ``save()`` until it was sent.
    """

    due_date = models.DateTimeField(db_index=True)
    channel_name = models.CharField(max_length=512)
    content = models.TextField()

    objects = DelayedMessageQuerySet.as_manager()

    class Meta:
        app_label = "routechan_delay"
        db_table = "channels.delay_delayedmessage"  # that of 1.x, so that what waits in it is still sent (DL-01)

    @property
    def delay(self) -> float:
        """Milliseconds, as given; setting it sets ``due_date``. ``AttributeError`` before it was set (DL-04)."""
        return self._delay

    @delay.setter
    def delay(self, milliseconds: float) -> None:
        self._delay = milliseconds
        self.due_date = timezone.now() + timedelta(milliseconds=milliseconds)

    def send(self, channel_layer: Any = None, requeue_delay: float = 1000) -> bool:
        """Send it now, whenever it is due, and delete it. False: somebody else has sent it, or the channel is full.

        On a full channel it is due again in ``requeue_delay`` milliseconds. ``channel_layer`` is a 1.x face; without
        it the default layer is taken. Raises ``InvalidContent``, ``InvalidName`` and ``ValueError`` for what can never
        be sent, and the errors of the layer; then the row stays.
        """
        if not channel_layer:
            channel_layer = channel_layers[DEFAULT_CHANNEL_LAYER]
        database = self._state.db or router.db_for_write(type(self), instance=self)
        stored = self.pk is not None
        with transaction.atomic(using=database):
            # Who deletes the row sends it. Another server waits here until we are done, and then finds no row; an
            # error below brings it back (DL-14).
            if stored and not type(self).objects.using(database).filter(pk=self.pk).delete()[0]:
                return False
            try:
                Channel(self.channel_name, channel_layer=channel_layer).send(json.loads(self.content), immediately=True)
            except channel_layer.ChannelFull:
                self.delay = requeue_delay
                self.save(using=database, force_insert=True)
                return False
        self.pk = None  # as after delete()
        return True
