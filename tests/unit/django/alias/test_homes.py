"""What modules have under their old names only."""

from __future__ import annotations

from pathlib import Path

from tests.unit.django.alias.running import run_code
from tests.unit.django.alias.test_inventory import SETUP


def test_submodules_are_attributes(tmp_path: Path) -> None:
    """13.1, 13.2: after ``import channels`` alone, as 1.x left them once the app was ready; nested ones too."""
    code = """
    import channels, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    for path in sorted(inventory.PUBLIC):
        module, found = path.split(".")[1:], channels
        if "migrations" in module:
            continue  # no identifier
        for name in module:
            found = getattr(found, name)
        assert found is importlib.import_module(path), path
    print(channels.exceptions.DenyConnection, channels.handler.AsgiHandler, channels.sessions.channel_session)
    print(hasattr(channels, "nowhere"), hasattr(channels.generic, "nowhere"), hasattr(channels, "_private"))
    for package, name in (channels, "layers"), (channels, "nowhere"), (channels.generic, "nowhere"):
        try:
            getattr(package, name)
        except AttributeError as error:
            print(error)
    import asgi_redis
    print(asgi_redis.core.RedisChannelLayer is asgi_redis.RedisChannelLayer, asgi_redis.sentinel.__name__)
    """
    first, second, *errors, last = run_code(tmp_path, SETUP + code).splitlines()
    assert first.startswith("<class 'channels.exceptions.DenyConnection'> <class 'channels.handler.AsgiHandler'>")
    assert second == "False False False"
    assert "in 1.x it is channels.asgi.get_channel_layer" in errors[0]
    assert errors[1:] == [
        "module 'channels' has no attribute 'nowhere'",
        "module 'channels.generic' has no attribute 'nowhere'",
    ]
    assert last.startswith("True")


def test_import_channels_needs_no_settings(tmp_path: Path) -> None:
    """Section 0: nor do the attributes, and asking for one loads no other."""
    code = """
    import sys, channels
    from django.conf import settings
    assert "routechan_django.generic" not in sys.modules and "routechan_django.test" not in sys.modules
    print(channels.signals.consumer_started, channels.sessions.enforce_ordering.__name__, settings.configured)
    assert "routechan_django.test" not in sys.modules
    """
    assert run_code(tmp_path, code).endswith("enforce_ordering False\n")


def test_dotted_names_of_classes(tmp_path: Path) -> None:
    """13.1: what 1.x defined says where; texts, filters on dotted names and pickles hold these names."""
    code = """
    import pickle
    from routechan_django.alias.homes import HOMES
    for path, names in HOMES.items():
        module = importlib.import_module(path)
        for name in names.split():
            found = getattr(module, name)
            assert (found.__module__, found.__qualname__) == (path, name), found
            assert pickle.loads(pickle.dumps(found)) is found
    import channels
    listed = {(path, name) for path, names in HOMES.items() for name in names.split()}
    for path, name in inventory.names():
        found = getattr(importlib.import_module(path), name)
        if isinstance(found, type) and found.__module__.startswith("routechan"):
            print(path, name, found.__module__)
    """
    shown = run_code(tmp_path, SETUP + code).splitlines()
    # What 1.x merely imported there: the server was Daphne's, and the config and the migration are Django's to find.
    assert {tuple(line.split()[:2]) for line in shown} == {
        ("channels.apps", "ChannelsConfig"),
        ("channels.delay.apps", "DelayConfig"),
        ("channels.delay.management.commands.rundelay", "Command"),
        ("channels.delay.migrations.0001_initial", "Migration"),
        *(("channels.delay.models", name) for name in ("DelayedMessage", "DelayedMessageQuerySet")),
        ("channels.delay.worker", "DelayedMessage"),
        ("channels.management.commands.runserver", "Server"),
        ("channels.test.liveserver", "Server"),
    }


def test_names_before_any_other_import(tmp_path: Path) -> None:
    """MS-08, GR-08, EX-05: ``from channels import Group`` is enough for the names of what consumers meet."""
    code = """
    import pickle
    from channels import Group, route
    from routechan import DenyConnection, Message
    from asgiref.inmemory import ChannelLayer
    layer = ChannelLayer()
    print(Message({}, "x", layer), Group("g", channel_layer=layer), repr(DenyConnection), type(layer))
    print(Message.__module__, pickle.loads(pickle.dumps(Message({"a": 1}, "x", None))).content)
    print(type(route("x", print)), DenyConnection.__module__, pickle.loads(pickle.dumps(DenyConnection("no"))))
    """
    first, second, third = run_code(tmp_path, code).splitlines()
    message, group, error, layer = first.split("> ")[0], *first.split("> ")[1:3], first.rpartition("> ")[2]
    assert message.startswith("<channels.message.Message object at 0x")
    assert group.startswith("<channels.channel.Group object at 0x")
    assert "channels.exceptions.DenyConnection" in error
    assert "asgiref.inmemory.ChannelLayer" in layer
    assert second == "channels.message {'a': 1}"
    assert third == "<class 'channels.routing.Route'> channels.exceptions no"


def test_the_client_as_tests_of_1x_look_at_it(tmp_path: Path) -> None:
    """TC-20, TC-22 (test_wsclient session_in_headers, get_params): a dict, and text; consumers get a server's."""
    code = """
    from channels import route
    from channels.test import ChannelTestCase, WSClient, apply_routes
    from channels.test.websocket import WSClient as same

    class Tests(ChannelTestCase):
        def runTest(self):
            assert same is WSClient
            client = WSClient()
            client.set_header("X-Test", b"1")
            content = client._get_content()
            assert content["path"] == "/" and content["headers"]["X-Test"] == b"1"
            assert "cookie" in content["headers"] and b"sessionid" in content["headers"]["cookie"]
            content = client._get_content(path="/my/path?test=1&token=2")
            assert (content["path"], content["query_string"]) == ("/my/path", "test=1&token=2")
            seen = []
            with apply_routes([route(["websocket.connect", "websocket.receive"], seen.append)]):
                client.send_and_consume("websocket.connect", path="/p?a=1", check_accept=False)
                client.send_and_consume("websocket.receive", content={"headers": {"x": b"y"}, "query_string": "b=2"})
            assert seen[0]["query_string"] == b"a=1"
            assert [b"x-test", b"1"] in [list(pair) for pair in seen[0]["headers"]]
            assert seen[1]["headers"] == {"x": b"y"} and "query_string" not in seen[1]

    import unittest
    from django.core.management import call_command
    call_command("migrate", verbosity=0)
    result = unittest.TextTestRunner().run(Tests())
    assert result.wasSuccessful() and result.testsRun == 1
    """
    setup = SETUP.replace(
        'SECRET_KEY="tests only"',
        'SECRET_KEY="tests only", DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}',
    )
    run_code(tmp_path, setup + code)
