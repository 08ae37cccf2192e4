"""The chat as ``async def`` functions. ``consumers`` is the same with plain ones."""

from __future__ import annotations

from routechan import Group, Message
from routechan_django.auth import UserMessage, http_session_user

from . import frames, presence


@http_session_user
async def ws_connect(message: UserMessage, room: str) -> None:
    user = message.user
    name = user.get_username() or None
    greeting = frames.greeting(room, name, await presence.aonline(room))
    await Group("chat_" + room).aadd(message.reply_channel)
    # The socket is in the group already, so it misses nothing from now on. Sent immediately: other sends wait until
    # the consumer has ended, and what others say meanwhile would arrive before the greeting.
    await message.reply_channel.asend({"accept": True, **greeting}, immediately=True)
    if name and await presence.ajoin(room, user, message.reply_channel.name):
        Group("chat_" + room).send(frames.joined(name, await presence.aonline(room)))


async def ws_receive(message: Message, room: str) -> None:
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, await presence.ausername(message.reply_channel.name))
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


async def ws_disconnect(message: Message, room: str) -> None:
    name = await presence.aleave(room, message.reply_channel.name)
    await Group("chat_" + room).adiscard(message.reply_channel)
    if name:
        Group("chat_" + room).send(frames.left(name, await presence.aonline(room)))
