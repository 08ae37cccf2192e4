"""The modules of sessions, users and origins, as 1.x code imports from them."""

from __future__ import annotations

import os
import subprocess
import sys

NAMES = {
    "sessions": (
        "session_for_reply_channel channel_session wait_channel_name requeue_messages enforce_ordering http_session "
        "channel_and_http_session Message ConsumeLater CreateError signed_cookies"
    ),
    "auth": (
        "transfer_user channel_session_user http_session_user channel_session_user_from_http "
        "channel_and_http_session_user_from_http channel_session http_session channel_and_http_session auth"
    ),
    "security": "",
    "security.websockets": "BaseOriginValidator AllowedHostsOnlyOriginValidator allowed_hosts_only",
}

CODE = """
import importlib
from django.conf import settings
for name, names in {names!r}.items():
    module = importlib.import_module("routechan_django." + name)
    for each in names.split():
        getattr(module, each)
from routechan_django.auth import channel_and_http_session_user_from_http
from routechan_django.sessions import enforce_ordering
enforce_ordering(channel_and_http_session_user_from_http(print))
assert not settings.configured
print("imported")
"""


def test_before_settings() -> None:
    """SE-02, AU-08, SC-10: all names are there and decorate before there are settings; these are read for each call."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(names=NAMES)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "imported\n", done.stderr
