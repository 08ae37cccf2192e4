"""For ChannelLiveServerTestCase: one layer that crosses processes, and a database in a file (TC-36)."""

import os

from .settings import *  # noqa: F403
from .settings import CHANNEL_LAYERS

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        "TEST": {"NAME": os.environ["DATABASE"] + ".test"},
    },
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "project.layer.MarkingLayer",
        "CONFIG": CHANNEL_LAYERS["redis"]["CONFIG"],
        "TEST_CONFIG": {
            **CHANNEL_LAYERS["redis"]["CONFIG"],
            "prefix": os.environ["REDIS_PREFIX"] + "live",
            "capacity": 100,
        },
        "ROUTING": "project.routing.channel_routing",
    },
}
