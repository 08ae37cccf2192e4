import json
from functools import wraps

from .exceptions import ClientError
from .models import Room


def reply(channel, content):
    channel.send({"text": json.dumps(content)})


def catch_client_error(func):
    """Sits inside channel_session_user (UE-06)."""

    @wraps(func)
    def inner(message, *args, **kwargs):
        try:
            return func(message, *args, **kwargs)
        except ClientError as error:
            error.tell(message.reply_channel, reply)

    return inner


def room_for(room_id, user):
    if not user.is_authenticated:
        raise ClientError("USER_HAS_TO_LOGIN")
    try:
        room = Room.objects.get(pk=room_id)
    except Room.DoesNotExist:
        raise ClientError("ROOM_INVALID") from None
    if room.staff_only and not user.is_staff:
        raise ClientError("ROOM_ACCESS_DENIED")
    return room
