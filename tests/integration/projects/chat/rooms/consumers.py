import json

from channels import Channel
from channels.auth import channel_session_user, channel_session_user_from_http

from .exceptions import ClientError
from .models import Room
from .utils import catch_client_error, reply, room_for


@channel_session_user_from_http
def ws_connect(message):
    message.reply_channel.send({"accept": True})
    message.channel_session["rooms"] = []


def ws_receive(message):
    payload = json.loads(message["text"])
    payload["reply_channel"] = message.content["reply_channel"]
    Channel("chat.receive").send(payload)


@channel_session_user
def ws_disconnect(message):
    for room_id in message.channel_session.get("rooms", []):
        room = Room.objects.filter(pk=room_id).first()
        if room is not None:
            room.websocket_group.discard(message.reply_channel)
            room.announce(message.user, "left")


@channel_session_user
@catch_client_error
def chat_join(message):
    room = room_for(message["room"], message.user)
    reply(message.reply_channel, {"join": room.id, "title": room.title})
    # Announced before the group is joined: sends wait for the end of the consumer, so who joins hears it.
    room.announce(message.user, "joined")
    room.websocket_group.add(message.reply_channel)
    rooms = set(message.channel_session["rooms"])
    message.channel_session["rooms"] = sorted(rooms | {room.id})


@channel_session_user
@catch_client_error
def chat_leave(message):
    room = room_for(message["room"], message.user)
    room.announce(message.user, "left")
    room.websocket_group.discard(message.reply_channel)
    rooms = set(message.channel_session["rooms"])
    message.channel_session["rooms"] = sorted(rooms - {room.id})
    reply(message.reply_channel, {"leave": room.id})


@channel_session_user
@catch_client_error
def chat_send(message):
    if int(message["room"]) not in message.channel_session["rooms"]:
        raise ClientError("ROOM_NOT_JOINED")
    room_for(message["room"], message.user).say(message.user, message["message"])
