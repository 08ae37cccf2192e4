"""Three plain functions, and one group for each client id."""

from __future__ import annotations

import json
import logging

from routechan import Group
from routechan_django.auth import http_session_user

logger = logging.getLogger("status")


@http_session_user
def ws_connect(message, client_id):
    logger.info("%s was opened by %s", client_id, message.user.get_username() or "a guest")
    message.reply_channel.send({"accept": True})
    Group("group_" + client_id).add(message.reply_channel)


def ws_receive(message, client_id):
    text = message.get("text")
    if text:
        Group("group_" + client_id).send({"text": json.dumps({"message": text})})


def ws_disconnect(message, client_id):
    Group("group_" + client_id).discard(message.reply_channel)
