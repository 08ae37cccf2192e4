from channels.binding.websockets import WebsocketBinding
from django.db import models


class Value(models.Model):
    name = models.CharField(max_length=100, unique=True)
    value = models.IntegerField(default=0)
    locked = models.BooleanField(default=False)

    def __str__(self):
        return self.name


class ValueBinding(WebsocketBinding):
    """Declared next to its model (UE-08)."""

    model = Value
    stream = "values"
    fields = ["name", "value"]

    @classmethod
    def group_names(cls, *args, **kwargs):
        return ["values"]

    def has_permission(self, user, action, pk):
        return user.is_authenticated
