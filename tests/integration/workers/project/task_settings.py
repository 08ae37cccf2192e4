"""The project with tasks, for Django 6.0 and later."""

from .settings import *  # noqa: F403
from .settings import CHANNEL_LAYERS

CHANNEL_LAYERS["default"]["ROUTING"] = "tests.integration.workers.project.task_routing.channel_routing"
TASKS = {"default": {"BACKEND": "routechan_django.tasks.ChannelBackend"}}
