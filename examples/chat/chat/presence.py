"""Who is online in a room, kept in the database so that every process sees the same."""

# To pyright the fields of a model have no types.
# pyright: basic

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from routechan import Group

from .models import Presence


def join(room: str, user: AbstractBaseUser | AnonymousUser, reply_channel: str) -> bool:
    """Store that ``user`` is in ``room``. True: this is the user's first window there."""
    mine = Presence.objects.create(room=room, user=user, reply_channel=reply_channel)
    _delete_stale_rows(room)
    # The oldest row counts, so that of two windows opened at the same time exactly one is the first.
    return bool(Presence.objects.filter(room=room, user=user).earliest("pk") == mine)


def leave(room: str, reply_channel: str) -> str | None:
    """Delete the row of a socket. The name of the user if this was the last window in ``room``, else None."""
    mine = Presence.objects.filter(reply_channel=reply_channel).select_related("user").first()
    if mine is None:
        return None
    mine.delete()
    still_there = Presence.objects.filter(room=room, user=mine.user).exists()
    return None if still_there else mine.user.get_username()


def online(room: str) -> list[str]:
    """The names of the logged-in users in ``room``."""
    _delete_stale_rows(room)
    rows = Presence.objects.filter(room=room).select_related("user")
    return sorted({row.user.get_username() for row in rows})


def username(reply_channel: str) -> str | None:
    """The name of the logged-in user behind a socket, or None for a guest."""
    row = Presence.objects.filter(reply_channel=reply_channel).select_related("user").first()
    return row.user.get_username() if row else None


def _delete_stale_rows(room: str) -> None:
    """Delete the rows of sockets that ended without a disconnect event, say because the server was killed.

    A socket is in the group as long as it has a row, so a row without a member is stale. The rows are read before the
    members: the other way round a socket that joins in between would look stale.
    """
    rows = list(Presence.objects.filter(room=room))
    members = set(Group("chat_" + room).channels())
    Presence.objects.filter(pk__in=[row.pk for row in rows if row.reply_channel not in members]).delete()


ajoin = sync_to_async(join)
aleave = sync_to_async(leave)
aonline = sync_to_async(online)
ausername = sync_to_async(username)
