"""The app config: what is set up once per process."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core import checks
from django.core.signals import setting_changed

from routechan.layers import channel_layers
from routechan.sending import transactions

from . import channels4, conf, package_checks, testruns
from .asgi import forget_layers, make_layer
from .asgi_file import check_asgi_file, warn_of_django_alone
from .binding.base import BindingMetaclass
from .caching import reuse_backends
from .checks import check_deployment, check_layers, check_redis, check_server, check_settings
from .commits import DjangoTransactions
from .connections import connect_signals
from .hacks import monkeypatch_django
from .log import keep_enabled
from .sessions import logins


class RoutechanConfig(AppConfig):
    """The app ``routechan_django``. Lifetime: process."""

    name = "routechan_django"
    verbose_name = "routechan"

    def ready(self) -> None:
        """Configure the layers, connect the signals, register bindings and checks (AP-02).

        Idempotent.
        """
        keep_enabled()
        package_checks.check_all()
        channel_layers.configure(make_layer)
        transactions.configure(DjangoTransactions())
        setting_changed.connect(forget_layers, dispatch_uid="routechan_forget_layers")
        user_logged_out.connect(logins.logged_out, dispatch_uid="routechan_logged_out")
        if apps.is_installed("django.contrib.auth"):
            logins.watch_users(get_user_model())
        connect_signals()
        reuse_backends()
        monkeypatch_django()
        BindingMetaclass.register_all()
        if conf.shares_any_with_channels():
            channels4.make_layers_with(testruns.channels_backend_for_tests)
        for check in (check_layers, check_settings, check_server, check_asgi_file, testruns.watch_unittest):
            checks.register(check, "routechan")
        for check in (check_deployment, check_redis):
            checks.register(check, "routechan", deploy=True)
        warn_of_django_alone()
