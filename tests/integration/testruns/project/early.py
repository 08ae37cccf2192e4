"""An app that uses the layer as soon as it can, before any test runner has begun."""

from __future__ import annotations

import os

from django.apps import AppConfig

from routechan import Group


class EarlyConfig(AppConfig):
    name = "tests.integration.testruns.project"
    label = "early"

    def ready(self) -> None:
        EarlyConfig.group = Group("early")
        if os.environ.get("SEND_EARLY"):
            EarlyConfig.group.send({"text": "the app is ready"})
