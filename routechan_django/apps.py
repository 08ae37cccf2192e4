"""The app config: layers from the settings, connections closed, checks registered."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from routechan.layers import channel_layers

from . import package_checks
from .asgi import forget_layers, make_layer
from .binding.base import BindingMetaclass
from .checks import check_layers, check_server, check_settings
from .connections import watch_connections
from .hacks import monkeypatch_django


class RoutechanConfig(AppConfig):
    name = "routechan_django"
    verbose_name = "routechan"

    def ready(self) -> None:
        """Set up everything that lasts as long as the process; again changes nothing (AP-02)."""
        package_checks.check_all()
        channel_layers.configure(make_layer)
        setting_changed.connect(forget_layers, dispatch_uid="routechan_forget_layers")
        watch_connections()
        monkeypatch_django()
        BindingMetaclass.register_all()
        for check in (check_layers, check_settings, check_server):
            checks.register(check, "routechan")
