"""The apps ``channels`` and ``channels.delay`` in INSTALLED_APPS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.django.alias.running import run_code

SETTINGS = """
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=[{apps}],
        DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
        CHANNEL_LAYERS={{"default": {{"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": "routing.routes"}}}},
    )
    import sys, types
    sys.modules["routing"] = types.ModuleType("routing")
    sys.modules["routing"].routes = []
    import django
    django.setup()
    from django.apps import apps
"""


@pytest.mark.parametrize(
    "listed",
    [
        ["channels", "channels.delay"],
        ["channels.apps.ChannelsConfig", "channels.delay.apps.DelayConfig"],
        ["routechan_django", "channels", "django.contrib.staticfiles", "channels.delay"],
    ],
)
def test_apps_of_1x_settings(listed: list[str], tmp_path: Path) -> None:
    """AP-01, AP-02, PL-06, PL-08: by module or by config, and beside our own name: both are installed, and work."""
    code = """
    assert apps.is_installed("channels") and apps.is_installed("channels.delay")
    assert apps.get_app_config("channels").verbose_name == "Channels"
    from django.core.management import call_command, get_commands
    commands = get_commands()
    assert {commands[name] for name in ("runworker", "channelroutes")} == {commands["runworker"]}
    assert commands["runworker"] in ("channels", "routechan_django") and commands["rundelay"] == "channels.delay"
    from django.core import checks
    print(*[found.id for found in checks.run_checks()])
    call_command("migrate", verbosity=0)
    call_command("makemigrations", check=True, verbosity=0)
    from channels.delay.models import DelayedMessage
    assert apps.get_containing_app_config("channels.delay.models").name == "channels.delay"
    DelayedMessage.objects.create(delay=1000, channel_name="x", content="{}")
    from channels.binding.base import BindingMetaclass
    assert BindingMetaclass.register_immediately
    from django.core.management.base import CommandError
    try:
        call_command("runworker")
    except CommandError as error:
        print(error)
    """
    shown = SETTINGS.format(apps=", ".join(map(repr, listed)))
    first, second = run_code(tmp_path, shown + code).splitlines()
    assert first.strip() == ""
    assert "lives in one process, so a worker would get no messages" in second


def test_the_delay_app_twice(tmp_path: Path) -> None:
    """Both names of the delay app at once are refused by Django, naming the label."""
    code = """
    from django.apps.registry import Apps
    from django.core.exceptions import ImproperlyConfigured
    try:
        Apps(["channels.delay", "routechan_django.delay"])
    except ImproperlyConfigured as error:
        print(error)
    """
    assert "duplicates: routechan_delay" in run_code(tmp_path, SETTINGS.format(apps="'channels'") + code)


def test_runserver_of_staticfiles(tmp_path: Path) -> None:
    """AP-04: whichever of the two is listed first, ``runserver`` serves sockets; applying it again changes nothing."""
    code = """
    from django.core.management import get_commands, load_command_class
    from channels.hacks import monkeypatch_django
    from channels.management.commands.runserver import Command
    monkeypatch_django()
    command = load_command_class(get_commands()["runserver"], "runserver")
    print(get_commands()["runserver"], isinstance(command, Command), type(command).__bases__.count(Command))
    """
    for listed in ("'channels', 'django.contrib.staticfiles'", "'django.contrib.staticfiles', 'channels'"):
        name, serves, _ = run_code(tmp_path, SETTINGS.format(apps=listed) + code).split()
        assert (name, serves) == (listed.split(",")[0].strip("' "), "True")
