"""The chat as plain functions. ``async_consumers`` is the same with ``async def``."""

from __future__ import annotations

from routechan import Group, Message
from routechan_django.auth import UserMessage, channel_session_user, channel_session_user_from_http

from . import frames


@channel_session_user_from_http
def ws_connect(message: UserMessage, room: str) -> None:
    group = Group("chat_" + room)
    who = frames.somebody(message.user)
    group.add(message.reply_channel, who=who)
    greeting = frames.greeting(room, who, group.present())
    # The socket is in the group already, so it misses nothing from now on. Sent immediately: other sends wait until
    # the consumer has ended, and what others say meanwhile would arrive before the greeting.
    message.reply_channel.send({"accept": True, **greeting}, immediately=True)


@channel_session_user
def ws_receive(message: UserMessage, room: str) -> None:
    try:
        frame = frames.read(message.get("text"))
        answers = frames.answers(frame, message.user.get_username() or None)
    except frames.BadFrame as reason:
        message.reply_channel.send(frames.error(reason))
        return
    for answer in answers:
        Group("chat_" + room).send(frames.reply(answer))


def ws_disconnect(message: Message, room: str) -> None:
    Group("chat_" + room).discard(message.reply_channel)


def joined(message: Message, room: str) -> None:
    """For the first window that a user opens in ``room``."""
    group = Group("chat_" + room)
    group.send(frames.joined(message["who"]["name"], group.present()))


def left(message: Message, room: str) -> None:
    """For the last one that a user closes; who only loads the page again has not left."""
    group = Group("chat_" + room)
    group.send(frames.left(message["who"]["name"], group.present()))
