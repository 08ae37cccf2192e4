"""The chat as plain functions. ``async_consumers`` is the same with ``async def``."""

from __future__ import annotations

from demo_site.session_user import session_user

from routechan import Group

from . import frames, presence


def ws_connect(message, room):
    user = session_user(message)
    name = user.get_username() or None
    greeting = frames.greeting(room, name, presence.online(room))
    Group("chat_" + room).add(message.reply_channel)
    # Who is greeted misses nothing from then on. At once, since sends otherwise wait for the end of the consumer,
    # and what others say meanwhile would come before the greeting.
    message.reply_channel.send({"accept": True, **greeting}, immediately=True)
    if name and presence.join(room, user, message.reply_channel.name):
        Group("chat_" + room).send(frames.joined(name, presence.online(room)))


def ws_receive(message, room):
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, presence.username(message.reply_channel.name))
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


def ws_disconnect(message, room):
    name = presence.leave(room, message.reply_channel.name)
    Group("chat_" + room).discard(message.reply_channel)
    if name:
        Group("chat_" + room).send(frames.left(name, presence.online(room)))
