"""The chat as plain functions. ``async_consumers`` is the same with ``async def``."""

from __future__ import annotations

from routechan import Group, Message
from routechan_django.auth import UserMessage, http_session_user

from . import frames, presence


@http_session_user
def ws_connect(message: UserMessage, room: str) -> None:
    user = message.user
    name = user.get_username() or None
    greeting = frames.greeting(room, name, presence.online(room))
    Group("chat_" + room).add(message.reply_channel)
    # The socket is in the group already, so it misses nothing from now on. Sent immediately: other sends wait until
    # the consumer has ended, and what others say meanwhile would arrive before the greeting.
    message.reply_channel.send({"accept": True, **greeting}, immediately=True)
    if name and presence.join(room, user, message.reply_channel.name):
        Group("chat_" + room).send(frames.joined(name, presence.online(room)))


def ws_receive(message: Message, room: str) -> None:
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, presence.username(message.reply_channel.name))
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


def ws_disconnect(message: Message, room: str) -> None:
    name = presence.leave(room, message.reply_channel.name)
    Group("chat_" + room).discard(message.reply_channel)
    if name:
        Group("chat_" + room).send(frames.left(name, presence.online(room)))
