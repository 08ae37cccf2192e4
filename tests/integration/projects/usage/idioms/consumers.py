import json

from channels import Channel, Group
from channels.auth import (
    channel_and_http_session_user_from_http,
    channel_session_user,
    channel_session_user_from_http,
    http_session_user,
)
from channels.exceptions import DenyConnection
from channels.generic import BaseConsumer
from channels.generic.websockets import (
    JsonWebsocketConsumer,
    WebsocketConsumer,
    WebsocketDemultiplexer,
    WebsocketMultiplexer,
)
from channels.handler import AsgiHandler, AsgiRequest
from channels.sessions import (
    channel_and_http_session,
    channel_session,
    enforce_ordering,
    http_session,
)
from django.http import HttpResponse

from .models import NoteBinding, Ticket

# --- Functions ---------------------------------------------------------------------------------


@channel_session_user_from_http
def ws_connect(message, room):
    message.reply_channel.send({"accept": True})
    Group("room-" + room).send({"text": "%s joined" % message.user.username})
    Group("room-" + room).add(message.reply_channel)
    message.channel_session["room"] = room


@channel_session_user
def ws_receive(message, room):
    assert message.channel_session["room"] == room
    Group("room-" + room).send({"text": "%s: %s" % (message.user.username, message["text"])})


@channel_session_user
def ws_disconnect(message, room):
    Group("room-" + message.channel_session["room"]).discard(message.reply_channel.name)
    Group("room-" + room).send({"text": "%s left" % message.user.username})


def chat_join(message):
    Group("chat").add(message.content["reply_channel"])
    message.reply_channel.send({"text": json.dumps({"joined": "chat"})})


def chat_say(message, room):
    Group(room).send({"text": message["text"]})


def game_event(message, event):
    message.reply_channel.send({"text": event})


def thumbnail(message):
    """Works away from any socket, and tells the one whose name was stored."""
    for ticket in Ticket.objects.filter(pk=message["id"]).exclude(reply_channel=""):
        Channel(ticket.reply_channel).send({"text": "thumbnail %s" % ticket.title}, immediately=True)


def order(message):
    message.reply_channel.send({"text": "ordered %s" % message["what"]})


def marked_frame(message):
    Channel("marked.ask").send({"reply_channel": message.reply_channel.name})


def marked_ask(message):
    message.reply_channel.send({"text": "marked" if message.get("marked") else "not marked"})


@channel_session
def session_connect(message):
    message.channel_session["frames"] = []
    message.reply_channel.send({"accept": True})


@channel_session
def session_receive(message):
    message.channel_session["frames"] = message.channel_session["frames"] + [message["text"]]
    message.reply_channel.send({"text": json.dumps(message.channel_session["frames"])})


@http_session_user
def http_user(message):
    message.reply_channel.send({"text": message.user.username or "anonymous"})


@http_session
def http_only(message):
    cart = message.http_session.get("cart") if message.http_session else None
    message.reply_channel.send({"text": json.dumps(cart)})


@channel_and_http_session
def both_connect(message):
    message.reply_channel.send({"accept": True})
    message.channel_session["seen"] = True


@channel_and_http_session
def both_receive(message):
    message.reply_channel.send({"text": json.dumps([message.channel_session["seen"], message.http_session["cart"]])})


@channel_and_http_session_user_from_http
def both_users(message):
    message.reply_channel.send({"text": message.user.username})


@enforce_ordering
def count(message):
    message.reply_channel.send({"accept": True} if message["order"] == 0 else {"text": str(message["order"])})


def refuse(message):
    message.reply_channel.send({"accept": False})


def deny(message):
    raise DenyConnection


def speaks_first(message):
    """No accept: the text opens the socket."""
    message.reply_channel.send({"text": "welcome"})


def faked(message):
    """The request of a socket, as many wrote it to read cookies and parameters."""
    message.content["method"] = "FAKE"
    request = AsgiRequest(message)
    message.reply_channel.send({"text": json.dumps([request.method, request.GET.get("token"), request.COOKIES])})


def headers(message):
    found = {name.lower(): value for name, value in message.content["headers"]}
    agent = found[b"user-agent"].decode()
    query = message.content["query_string"]
    message.reply_channel.send({"text": "%s %s" % (agent, query)})


def binary(message):
    message.reply_channel.send({"bytes": message["bytes"][::-1]})


def close_with_code(message):
    message.reply_channel.send({"text": "bye", "close": 4001 if message["text"] == "code" else True})


def by_hand(message):
    """An answer to http.request without a view."""
    request = AsgiRequest(message)
    for part in AsgiHandler.encode_response(HttpResponse("by hand: %s" % request.path)):
        message.reply_channel.send(part)


# --- Classes -----------------------------------------------------------------------------------


class Echo(WebsocketConsumer):
    def receive(self, text=None, bytes=None, **kwargs):
        self.send(text=text, bytes=bytes)
        if text == "stop":
            self.close()


class Lines(JsonWebsocketConsumer):
    """Groups as a class attribute, a broadcast by a class method."""

    groups = ["lines"]

    def connect(self, message, **kwargs):
        self.message.reply_channel.send({"accept": True})

    def receive(self, content, **kwargs):
        self.group_send("lines", {"line": content["line"]})

    @classmethod
    def tell_all(cls, line):
        cls.group_send("lines", {"line": line})


class Profile(JsonWebsocketConsumer):
    """The user of the HTTP session, on every message."""

    http_user_and_session = True

    def receive(self, content, **kwargs):
        self.send({"user": self.message.user.username, "cart": self.message.http_session.get("cart")})


class Feed(WebsocketConsumer):
    http_user = True

    def connection_groups(self, slug=None, **kwargs):
        return ["feed-%s" % slug]

    def connect(self, message, slug=None, **kwargs):
        if message.user.is_authenticated:
            message.reply_channel.send({"accept": True})
        else:
            message.reply_channel.send({"close": True})


class OwnMapping(BaseConsumer):
    """A class on channels of the project's own."""

    method_mapping = {"worker.start": "start", "worker.stop": "stop"}

    def start(self, message, **kwargs):
        self.state = "started"
        message.reply_channel.send({"state": self.state})

    def stop(self, message, **kwargs):
        message.reply_channel.send({"state": "stopped"})


class Shouting(WebsocketMultiplexer):
    @classmethod
    def encode_json(cls, content):
        return super().encode_json(content).upper()


class Talker(JsonWebsocketConsumer):
    def receive(self, content, multiplexer=None, **kwargs):
        multiplexer.send({"echo": content["say"], "id": kwargs["id"]})


class Mistaken(JsonWebsocketConsumer):
    def receive(self, content, multiplexer=None, **kwargs):
        self.send({"no": "way"})


class Demultiplexer(WebsocketDemultiplexer):
    consumers = {
        "notes": NoteBinding.consumer,
        "talk": Talker,
        "mistaken": Mistaken,
    }
    groups = ["notes"]
