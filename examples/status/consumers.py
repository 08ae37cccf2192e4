"""Three plain functions, and one group for each client id."""

from __future__ import annotations

import json
import logging

from demo_site.session_user import session_user

from routechan import Group

logger = logging.getLogger("status")


def ws_connect(message, client_id):
    logger.info("%s was opened by %s", client_id, session_user(message).get_username() or "a guest")
    message.reply_channel.send({"accept": True})
    Group("group_" + client_id).add(message.reply_channel)


def ws_receive(message, client_id):
    text = message.get("text")
    if text:
        Group("group_" + client_id).send({"text": json.dumps({"message": text})})


def ws_disconnect(message, client_id):
    Group("group_" + client_id).discard(message.reply_channel)
