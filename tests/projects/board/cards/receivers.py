from channels import DEFAULT_CHANNEL_LAYER, Group, channel_layers
from django.db.models.signals import post_delete
from django.dispatch import Signal, receiver

from .models import Card

card_gone = Signal(providing_args=["name"])


@receiver(post_delete, sender=Card)
def tell(sender, instance, **kwargs):
    layer = channel_layers[DEFAULT_CHANNEL_LAYER]
    Group("gone", channel_layer=layer).send({"text": instance.name})
    card_gone.send(sender=sender, name=instance.name)
