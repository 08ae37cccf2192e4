"""What a new project is told when it is not set up yet, or not quite."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

#: Runs each case in a fork, where Django is not set up, and prints the error that it ends with.
RUNNER = """
import json, os, sys
import django.conf, django.core.management, routechan, routechan_django

def settings(*apps, **more):
    memory = {"BACKEND": "routechan.layers.InMemoryChannelLayer", "ROUTING": []}
    more.setdefault("CHANNEL_LAYERS", {"default": memory})
    django.conf.settings.configure(INSTALLED_APPS=list(apps), **more)

found = {}
for name, code in json.load(sys.stdin).items():
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            exec(code)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        else:
            os.write(writing, b"no error")
        os._exit(0)
    os.close(writing)
    found[name] = os.fdopen(reading).read()
    os.wait()
print(json.dumps(found))
"""

FILES = {
    "sends_early/__init__.py": "",
    "sends_early/apps.py": """
from django.apps import AppConfig
from routechan import Group

class Config(AppConfig):
    name = "sends_early"

    def ready(self):
        Group("g").send({"text": "a"})
""",
    "asks_early/__init__.py": "",
    "asks_in_ready/__init__.py": "",
    "asks_in_ready/apps.py": """
from django.apps import AppConfig
from routechan_django.asgi import get_channel_layer

class Config(AppConfig):
    name = "asks_in_ready"

    def ready(self):
        get_channel_layer().send("x", {})
""",
    "asks_early/models.py": "from asks_early import work\n",
    "asks_early/work.py": "from routechan_django.asgi import get_channel_layer\n\nlayer = get_channel_layer()\n",
    "imports_early/__init__.py": "\nfrom imports_early import routing\n",
    "imports_early/routing.py": """
from routechan import route

channel_routing = [route("websocket.connect", "imports_early.consumers.connect")]
""",
    "imports_early/consumers.py": """
from django.contrib.auth.models import User

def connect(message):
    pass
""",
}

ASGI = "from routechan_django.asgi import get_asgi_application, get_channel_layer\n"
SEND = "routechan.Group('g').send({'text': 'a'})\n"
NOT_SET_UP = [
    "UnknownChannelLayer: no channel layer 'default'",
    "django.setup() first",
    "'routechan_django' in INSTALLED",
]
NO_APP = ["RoutechanError: INSTALLED_APPS has 'routechan', the library without Django", "Write 'routechan_django'"]

CASES = {
    "the library as an app": ("settings('routechan')\ndjango.setup()", NO_APP),
    "the library as an app, a command": (
        "settings('routechan')\ndjango.core.management.execute_from_command_line(['manage.py', 'runworker'])",
        NO_APP,
    ),
    "the library as an app, asgi.py": (ASGI + "settings('routechan')\nget_asgi_application()", NO_APP),
    "both": ("settings('routechan_django', 'routechan')\ndjango.setup()", NO_APP),
    "no app": (
        ASGI + "settings()\nget_asgi_application()",
        ["ImproperlyConfigured: add 'routechan_django' to INSTALLED_APPS"],
    ),
    "no app, the layer": (
        ASGI + "settings()\nget_channel_layer()",
        ["ImproperlyConfigured: add 'routechan_django' to INSTALLED_APPS"],
    ),
    "no app, a send": (f"settings()\ndjango.setup()\n{SEND}", NOT_SET_UP),
    "a send before setup()": (f"settings('routechan_django')\n{SEND}", NOT_SET_UP),
    "a channel before setup()": ("settings('routechan_django')\nroutechan.Channel('x')", NOT_SET_UP),
    "a send from ready() of an app above": (
        "settings('sends_early', 'routechan_django')\ndjango.setup()",
        [*NOT_SET_UP, "above an app whose ready() sends"],
    ),
    "a send from ready() of an app below": (
        "settings('routechan_django', 'sends_early')\ndjango.setup()",
        ["no error"],
    ),
    "no layers": (
        f"settings('routechan_django', CHANNEL_LAYERS={{}})\ndjango.setup()\n{SEND}",
        ['no channel layer \'default\': CHANNEL_LAYERS is empty; write CHANNEL_LAYERS = {"default": {"BACKEND"'],
    ),
    "another layer": (
        "settings('routechan_django')\ndjango.setup()\nroutechan.Group('g', 'defualt')",
        ["CHANNEL_LAYERS has 'default' (did you mean 'default'?); use one of these, or add it"],
    ),
    "the layer of a module that is imported with the apps": (
        "settings('routechan_django', 'asks_early')\ndjango.setup()",
        [
            "ImproperlyConfigured: the channel layer 'default' was asked for",
            " for by {folder}/asks_early/work.py:3, by {folder}/asks_early/models.py:1",
            ", while Django loads the apps; ask for it inside a function",
        ],
    ),
    "the layer, from ready()": (
        "settings('asks_in_ready')\ndjango.setup()",
        ["add 'routechan_django' to INSTALLED_APPS"],
    ),
    "the layer, from ready() of an app below": (
        "settings('routechan_django', 'asks_in_ready')\ndjango.setup()",
        ["no error"],
    ),
    "a routing that is imported with the apps": (
        "settings('imports_early', 'routechan_django')\ndjango.setup()",
        [
            "RoutingError: the consumer 'imports_early.consumers.connect' cannot be imported: AppRegistryNotReady",
            "imported by {folder}/imports_early/routing.py:4, by {folder}/imports_early/__init__.py:2",
            "behind django.setup() or get_asgi_application()",
        ],
    ),
    "a routing that is imported before setup()": (
        "settings('routechan_django')\nroutechan.route('websocket.connect', 'imports_early.consumers.connect')",
        ["AppRegistryNotReady", "imported by {folder}/imports_early/routing.py:4, by", "django.setup()"],
    ),
}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each case ends with; one process runs them all."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps({name: code for name, (code, _) in CASES.items()}),
        env={**environment, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return {"folder": str(folder), **found}


@pytest.mark.parametrize("case", CASES)
def test_first_steps(case: str, errors: dict[str, str]) -> None:
    """AP-02, CH-03: each says what is missing and what to write, with the user's own lines."""
    for text in CASES[case][1]:
        assert text.replace("{folder}", errors["folder"]) in errors[case]
