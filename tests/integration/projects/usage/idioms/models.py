import json

from channels import Channel, Group
from channels.binding.websockets import WebsocketBinding
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver


class Ticket(models.Model):
    title = models.CharField(max_length=100)
    status = models.CharField(max_length=20, default="new")
    # Whom to tell: a Channel is assigned, its name is stored.
    reply_channel = models.CharField(max_length=255, blank=True)

    @property
    def group(self):
        return Group("ticket-%s" % self.pk)

    def save(self, *args, **kwargs):
        super().save(*args, **kwargs)
        self.group.send({"text": json.dumps({"ticket": self.pk, "status": self.status})})

    def tell(self, text):
        Channel(self.reply_channel).send({"text": text})


class Note(models.Model):
    text = models.CharField(max_length=100)
    secret = models.CharField(max_length=100, blank=True)


class NoteBinding(WebsocketBinding):
    model = Note
    stream = "notes"
    fields = ["text"]

    @classmethod
    def group_names(cls, instance):
        return ["notes"]

    def has_permission(self, user, action, pk):
        return True


@receiver(post_save, sender=Note)
def note_saved(sender, instance, created, **kwargs):
    transaction.on_commit(lambda: Group("committed").send({"text": instance.text}))


@receiver(post_delete, sender=Note)
def note_deleted(sender, instance, **kwargs):
    Group("deleted").send({"text": instance.text}, immediately=True)
