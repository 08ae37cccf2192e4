from channels import Channel, Group
from channels.exceptions import WebsocketCloseException
from channels.generic import websockets
from channels.generic.websockets import (
    JsonWebsocketConsumer,
    WebsocketDemultiplexer,
)
from channels.handler import AsgiRequest
from channels.message import Message
from channels.signals import consumer_finished

from .bindings import CardBinding

FINISHED = []


def finished(sender, **kwargs):
    FINISHED.append(sender)


consumer_finished.connect(finished)


class StatusConsumer(JsonWebsocketConsumer):
    def connect(self, message, multiplexer=None, **kwargs):
        multiplexer.send({"status": "connected"})

    def receive(self, content, multiplexer=None, **kwargs):
        if not self.message.user.is_authenticated:
            multiplexer.send({"error": "anonymous"})
            return
        multiplexer.send({"echo": content})


class Demultiplexer(WebsocketDemultiplexer):
    http_user_and_session = True
    strict_ordering = True

    consumers = {
        "cards": CardBinding.consumer,
        "status": StatusConsumer,
    }
    groups = ["cards"]


class EchoConsumer(websockets.JsonWebsocketConsumer):
    greeting = "?"

    def connection_groups(self, name, **kwargs):
        return ["echo-%s" % name]

    def connect(self, message, name, **kwargs):
        self.message.reply_channel.send({"accept": True})
        assert isinstance(message, Message)
        message.content["method"] = "FAKE"
        query = AsgiRequest(message).GET
        if query.get("refuse"):
            raise WebsocketCloseException(4000)
        self.send({"greeting": "%s %s" % (self.greeting, name)})

    def receive(self, content, name, **kwargs):
        self.group_send("echo-%s" % name, {"name": name, "content": content})

    def disconnect(self, message, name, **kwargs):
        Channel("reminders").send({"name": name})


def remind(message):
    Group("cards").send({"text": "reminder for %s" % message.content["name"]})
