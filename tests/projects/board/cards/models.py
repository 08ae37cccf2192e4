from django.contrib.auth import get_user_model
from django.db import models


class Card(models.Model):
    owner = models.ForeignKey(
        get_user_model(),
        null=True,
        on_delete=models.SET_NULL,
    )
    name = models.CharField(max_length=100)
    points = models.IntegerField(default=0)
    done = models.NullBooleanField()
