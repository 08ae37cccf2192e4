"""The chat as ``async def`` functions. ``consumers`` is the same with plain ones."""

from __future__ import annotations

from demo_site.session_user import asession_user

from routechan import Group

from . import frames, presence


async def ws_connect(message, room):
    user = await asession_user(message)
    name = user.get_username() or None
    greeting = frames.greeting(room, name, await presence.aonline(room))
    await Group("chat_" + room).aadd(message.reply_channel)
    # Who is greeted misses nothing from then on. At once, since sends otherwise wait for the end of the consumer,
    # and what others say meanwhile would come before the greeting.
    await message.reply_channel.asend({"accept": True, **greeting}, immediately=True)
    if name and await presence.ajoin(room, user, message.reply_channel.name):
        Group("chat_" + room).send(frames.joined(name, await presence.aonline(room)))


async def ws_receive(message, room):
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, await presence.ausername(message.reply_channel.name))
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


async def ws_disconnect(message, room):
    name = await presence.aleave(room, message.reply_channel.name)
    await Group("chat_" + room).adiscard(message.reply_channel)
    if name:
        Group("chat_" + room).send(frames.left(name, await presence.aonline(room)))
