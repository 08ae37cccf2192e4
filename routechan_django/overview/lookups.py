"""What the page shows: a snapshot of the site, the members of a group, the sockets of a user."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from routechan.exceptions import ChannelLayerUnavailable, InvalidName
from routechan.layers import BaseChannelLayer
from routechan.monitor.reports import Question
from routechan.monitor.snapshots import (
    ChannelRow,
    ConsumerRow,
    GroupRow,
    ProcessRow,
    Snapshot,
    channel_rows,
    consumer_rows,
    group_rows,
    look,
    process_rows,
)

from ..auth import sockets_of_user

#: Seconds to wait for the answers of processes, and for all that a page asks.
ANSWER_TIMEOUT = 1.0
PAGE_TIMEOUT = 5.0

#: The most rows of a table.
MOST_ROWS = 100


@dataclass
class Site:
    """What the processes of a layer say, and how it can be shown. Lifetime: request.

    Args:
        processes: servers and workers.
        channels: channels that are read, or relayed to; those with a backlog first.
        consumers: consumers, by time taken.
        groups: groups with members in these processes, the largest first.
        silent: names of processes that did not answer.
        error: why there is nothing to show; empty otherwise.
    """

    processes: list[ProcessRow] = field(default_factory=list)
    channels: list[ChannelRow] = field(default_factory=list)
    consumers: list[ConsumerRow] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def sockets(self) -> int:
        """How many WebSockets are open in all processes that answered."""
        return sum(row.sockets for row in self.processes)

    @property
    def backlog(self) -> int:
        """How many messages wait in the channels."""
        return sum(row.length for row in self.channels)


@dataclass
class Members:
    """The channels that a group has, or the sockets of a user. Lifetime: request.

    Args:
        of: what was asked for, as it was written.
        names: the first of their names, in order.
        count: how many there are.
        error: why there is no answer; empty otherwise.
    """

    of: str
    names: list[str] = field(default_factory=list)
    count: int = 0
    error: str = ""


def site_now(layer: BaseChannelLayer) -> Site:
    """What the site looks like now; rates are left out, because a page is one moment.

    Args:
        layer: The layer whose processes are asked.
    """

    async def ask() -> Snapshot:
        async with Question(layer) as question:
            return await look(layer, question, ANSWER_TIMEOUT, groups=True)

    try:
        now: Snapshot = _wait(ask)
    except (ChannelLayerUnavailable, asyncio.TimeoutError) as error:
        return Site(error=_said(error))
    return Site(
        process_rows(now, now)[:MOST_ROWS],
        channel_rows(now, now)[:MOST_ROWS],
        consumer_rows(now, now)[:MOST_ROWS],
        group_rows(now)[:MOST_ROWS],
        now.silent,
    )


def members_of(layer: BaseChannelLayer, group: str) -> Members:
    """The members of a group, on all processes.

    Args:
        layer: The layer of the group.
        group: Its name, as somebody wrote it.
    """
    try:
        found = sorted(_wait(layer.group_channels, group))
    except (ChannelLayerUnavailable, InvalidName, asyncio.TimeoutError) as error:
        return Members(group, error=_said(error))
    return Members(group, found[:MOST_ROWS], len(found))


def sockets_of(alias: str, user: str) -> Members:
    """The open sockets of a user.

    Args:
        alias: The alias of the layer.
        user: A user name, or a primary key, as somebody wrote it.
    """
    model: Any = get_user_model()
    try:
        found = model._default_manager.get(**{model.USERNAME_FIELD: user})
    except model.DoesNotExist:
        try:
            found = model._default_manager.get(pk=user)
        except (model.DoesNotExist, ValueError, ValidationError):
            return Members(user, error=f"there is no user {user!r}")
    group = sockets_of_user(found, alias)
    found_members = members_of(group.channel_layer.layer, group.name)
    found_members.of = str(found)
    return found_members


def _wait(function: Any, *args: Any) -> Any:
    """What the coroutine function returns, from the thread of a view."""

    async def within() -> Any:
        return await asyncio.wait_for(function(*args), PAGE_TIMEOUT)

    return async_to_sync(within)()


def _said(error: BaseException) -> str:
    return str(error) or f"the layer did not answer within {PAGE_TIMEOUT:g} s"
