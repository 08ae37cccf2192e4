"""Three plain functions, and one group for each client id."""

from __future__ import annotations

import json
import logging

from routechan import Group, Message
from routechan_django.auth import UserMessage, http_session_user

logger = logging.getLogger("status")


@http_session_user
def ws_connect(message: UserMessage, client_id: str) -> None:
    logger.info("%s was opened by %s", client_id, message.user.get_username() or "a guest")
    message.reply_channel.send({"accept": True})
    Group("group_" + client_id).add(message.reply_channel)


def ws_receive(message: Message, client_id: str) -> None:
    text = message.get("text")
    if text:
        Group("group_" + client_id).send({"text": json.dumps({"message": text})})


def ws_disconnect(message: Message, client_id: str) -> None:
    Group("group_" + client_id).discard(message.reply_channel)
