"""The fixer ``installed_apps``."""

from .cases import Case, test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

CHANGES = [
    (
        "INSTALLED_APPS = [\n    'channels',  # first\n    'a',\n]\n",
        "INSTALLED_APPS = [\n    'routechan_django',  # first\n    'a',\n]\n",
    ),
    (
        'INSTALLED_APPS = ("a",) + ("channels", "channels.delay")\n',
        'INSTALLED_APPS = ("a",) + ("routechan_django", "routechan_django.delay")\n',
    ),
    ("THIRD_PARTY_APPS = ['channels.apps.ChannelsConfig']\n", "THIRD_PARTY_APPS = ['routechan_django']\n"),
    ("INSTALLED_APPS += ['channels']\n", "INSTALLED_APPS += ['routechan_django']\n"),
    ("INSTALLED_APPS.append('channels')\n", "INSTALLED_APPS.append('routechan_django')\n"),
    ("settings.configure(INSTALLED_APPS=['channels'])\n", "settings.configure(INSTALLED_APPS=['routechan_django'])\n"),
    ("if apps.is_installed('channels'): pass\n", "if apps.is_installed('routechan_django'): pass\n"),
    ("x = 'channels' in settings.INSTALLED_APPS\n", "x = 'routechan_django' in settings.INSTALLED_APPS\n"),
    ("D = {'INSTALLED_APPS': ['channels']}\n", "D = {'INSTALLED_APPS': ['routechan_django']}\n"),
]

KEEPS = [
    "INSTALLED_APPS = ['project.channels', 'channels_presence']\n",
    "NAMES = ['channels']\n",
    "x.append('channels')\n",
    "INSTALLED_APPS = ['routechan_django']\n",
    "def f(apps):\n    return apps.get_model('channels', 'Channel')\n",
    Case("INSTALLED_APPS = ['channels']\n", others={"channels/__init__.py": ""}),
]
