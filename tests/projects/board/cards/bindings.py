from channels.binding.base import CREATE
from channels.binding.websockets import WebsocketBinding

from .models import Card


class CardBinding(WebsocketBinding):
    model = Card
    stream = "cards"
    fields = ["name", "points"]

    @classmethod
    def group_names(cls, *args, **kwargs):
        return ["cards"]

    def has_permission(self, user, action, pk):
        return action == CREATE or user.is_staff
