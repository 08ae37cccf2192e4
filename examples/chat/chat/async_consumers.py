"""The chat as ``async def`` functions. ``consumers`` is the same with plain ones, and tells who comes and goes."""

from __future__ import annotations

from routechan import Group, Message
from routechan_django.auth import UserMessage, channel_session_user, channel_session_user_from_http

from . import frames


@channel_session_user_from_http
async def ws_connect(message: UserMessage, room: str) -> None:
    group = Group("chat_" + room)
    who = frames.somebody(message.user)
    await group.aadd(message.reply_channel, who=who)
    greeting = frames.greeting(room, who, await group.apresent())
    # The socket is in the group already, so it misses nothing from now on. Sent immediately: other sends wait until
    # the consumer has ended, and what others say meanwhile would arrive before the greeting.
    await message.reply_channel.asend({"accept": True, **greeting}, immediately=True)


@channel_session_user
async def ws_receive(message: UserMessage, room: str) -> None:
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, message.user.get_username() or None)
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


async def ws_disconnect(message: Message, room: str) -> None:
    await Group("chat_" + room).adiscard(message.reply_channel)
