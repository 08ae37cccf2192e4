"""``install()``: when it works, what stands for what, and what is patched where."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from routechan_django.alias import install
from tests.unit.django.alias.running import run, run_code, write_files


def test_refused_beside_another_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the real Channels is installed nothing is changed, and the text says what to do."""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.3.2")
    finders = [*sys.meta_path]
    with pytest.raises(ImportError, match="Channels 4.3.2 is installed.*pip uninstall channels. To use both"):
        install()
    assert sys.meta_path == finders


def test_refused_where_the_project_has_a_module_of_that_name(tmp_path: Path) -> None:
    """A folder ``channels`` of the project's own would be hidden; the text says where it is."""
    write_files(tmp_path, {"channels/__init__.py": ""})
    done = run(tmp_path, ["-c", "from routechan_django.alias import install; install()"])
    assert done.returncode == 1
    assert f"a module of that name is here: {tmp_path}/channels/__init__.py. Rename it" in done.stderr


def test_lazy_and_before_the_settings(tmp_path: Path) -> None:
    """Section 0: ``install()`` loads nothing; every module but those of models is importable without settings."""
    code = """
    import importlib, os, sys, warnings
    assert not [name for name in sys.modules if name.startswith(("channels", "asgi_redis"))]
    assert "routechan_django.sessions" not in sys.modules and "routechan_django.asgi" not in sys.modules
    install()  # again
    from channels.asgi import get_channel_layer
    assert "routechan_django.generic" not in sys.modules
    from tests.unit.django.alias import inventory
    warnings.simplefilter("ignore", DeprecationWarning)
    for module in sorted({*inventory.PUBLIC}):
        if not module.startswith("channels.delay") or module in ("channels.delay", "channels.delay.apps"):
            importlib.import_module(module)
    import channels
    from django.conf import settings
    print(channels.__version__, channels.default_app_config, settings.configured)
    """
    assert run_code(tmp_path, code).split() == ["1.1.8", "channels.apps.ChannelsConfig", "False"]


def test_names_of_the_package(tmp_path: Path) -> None:
    """AP-01: ``import channels`` alone gives the names, and ``asgi``, ``channel``, ``routing`` and ``utils``."""
    code = """
    import channels, routechan, routechan_django.asgi, routechan_django.utils
    assert channels.Group is routechan.Group and channels.route is routechan.route
    assert channels.asgi is routechan_django.asgi and channels.utils is routechan_django.utils
    assert channels.channel_layers is routechan_django.asgi.channel_layers
    assert channels.routing.route is channels.route and channels.DEFAULT_CHANNEL_LAYER == "default"
    from channels import *
    print(include.__name__, Channel.__module__)
    """
    assert run_code(tmp_path, code).split() == ["Include", "channels.channel"]


def test_a_patch_reaches_our_code(tmp_path: Path) -> None:
    """Patching a name of ``channels.X``, or subclassing there, changes what our code runs, until the patch ends."""
    code = """
    from unittest import mock
    import channels.routing, channels.exceptions, routechan.routing, routechan.message
    from channels.message import Message
    from channels.routing import Router, route
    original = routechan.routing.import_dotted
    with mock.patch("channels.routing.import_dotted", return_value=print) as patched:
        assert route("x", "no.such").consumer is print
        assert routechan.routing.import_dotted is patched
    assert routechan.routing.import_dotted is original and channels.routing.import_dotted is original
    with mock.patch("channels.message.Channel") as patched:
        assert Message({}, "x", None).channel is patched.return_value
    with mock.patch("channels.routing.ImproperlyConfigured") as patched:
        assert channels.routing.ImproperlyConfigured is patched
    from django.core.exceptions import ImproperlyConfigured
    assert channels.routing.ImproperlyConfigured is ImproperlyConfigured
    with mock.patch("channels.sessions.session_for_reply_channel") as patched:
        import routechan_django.sessions
        assert routechan_django.sessions.session_for_reply_channel is patched
    try:
        with mock.patch("channels.routing.nothing"):
            pass
    except AttributeError as error:
        print(error)
    """
    assert "does not have the attribute 'nothing'" in run_code(tmp_path, code)


def test_the_store_of_delayed_sends(tmp_path: Path) -> None:
    """PM-02 to PM-04, PM-09, PM-10: the store is a view of the outbox; by hand it opens and flushes one."""
    code = """
    import threading
    from channels import Channel
    from channels.message import PendingMessageStore, pending_message_store as store
    from asgiref.inmemory import ChannelLayer
    assert isinstance(store, PendingMessageStore) and store.retry_time == 2 and store.retry_interval == 0.2
    layer = ChannelLayer()
    try:
        store.send_and_flush()
    except AttributeError as error:
        print(error)
    store.prepare()
    assert store.active
    seen = []
    thread = threading.Thread(target=lambda: seen.append(store.active))
    thread.start()
    thread.join()
    assert seen == [False]
    Channel("x", channel_layer=layer).send({"n": 1})
    store.append(Channel("x", channel_layer=layer), {"n": 2})
    assert layer.receive(["x"]) == (None, None)
    store.send_and_flush()
    assert not store.active
    assert [layer.receive(["x"])[1]["n"] for _ in range(2)] == [1, 2]
    store.prepare()
    Channel("x", channel_layer=layer).send({"n": 3})
    assert [(str(sender), content) for sender, content in store.threadlocal.messages] == [("x", {"n": 3})]
    del store.threadlocal.messages
    assert not store.active and not hasattr(store.threadlocal, "messages")
    assert layer.receive(["x"]) == (None, None)
    store.retry_time = 0
    from routechan import outbox
    assert outbox.FULL_RETRY_TIME == 0
    """
    assert "call prepare() first" in run_code(tmp_path, code)


def test_classes_of_older_layers(tmp_path: Path) -> None:
    """``asgi_redis`` and what asgiref 1.x had: 1.x faces over our layers, with the arguments in the order of 1.x."""
    code = """
    import asgi_redis, asgiref.base_layer, asgiref.inmemory, asgiref.sync
    from asgi_redis.core import RedisChannelLayer
    from asgi_redis.sentinel import RedisSentinelChannelLayer
    from asgi_redis.local import RedisLocalChannelLayer
    from routechan.exceptions import ChannelFull
    layer = asgiref.inmemory.ChannelLayer(60, 86400, 1)
    layer.send("x", {"n": 1})
    try:
        layer.send("x", {"n": 2})
    except asgiref.base_layer.BaseChannelLayer.ChannelFull:
        print("full")
    assert isinstance(layer, asgiref.base_layer.BaseChannelLayer) and layer.sync is layer
    redis = RedisChannelLayer(30, ["redis://localhost:1/0"], "mine:")
    assert (redis.expiry, redis.layer.crosses_processes) == (30, True) and RedisChannelLayer.ChannelFull is ChannelFull
    assert asgi_redis.RedisChannelLayer is RedisChannelLayer
    assert RedisLocalChannelLayer(30, "mine:", 600).group_expiry == 600
    print(RedisSentinelChannelLayer(hosts=[("localhost", 1)], services=["a", "b"]).layer)
    for wrong in (lambda: RedisSentinelChannelLayer(), lambda: asgiref.inmemory.ChannelLayer(1, 2, 3, None, 5)):
        try:
            wrong()
        except Exception as error:
            print(error)
    assert asgiref.sync.async_to_sync
    """
    lines = run_code(tmp_path, code).splitlines()
    assert lines[0] == "full"
    assert lines[1].startswith("RedisChannelLayer(hosts=[")
    assert lines[1].count("localhost") == 2
    assert "names no service of Sentinel" in lines[2]
    assert "takes expiry, group_expiry, capacity, channel_capacity by position, not 5" in lines[3]


def test_a_layer_of_the_projects_own(tmp_path: Path) -> None:
    """ST-02, LM-11: a BACKEND that subclasses an old layer is used for all sends; old paths are read as ours."""
    write_files(
        tmp_path,
        {
            "layers.py": """
            from asgiref.inmemory import ChannelLayer

            class Counting(ChannelLayer):
                sent = 0

                def send(self, channel, message):
                    type(self).sent += 1
                    super().send(channel, message)
            """
        },
    )
    code = """
    from django.conf import settings
    settings.configure(INSTALLED_APPS=["channels"], CHANNEL_LAYERS={
        "default": {"BACKEND": "layers.Counting", "ROUTING": [], "CONFIG": {"capacity": 3}},
        "old": {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": []},
    })
    from channels.asgi import channel_layers, get_channel_layer
    layer = get_channel_layer()
    import channels
    channels.Channel("x").send({"n": 1})
    import layers
    print(layers.Counting.sent, layer.receive(["x"])[1], layer.capacity, type(layer.channel_layer).__name__)
    print(type(get_channel_layer("old").channel_layer).__name__, get_channel_layer("old"), layer)
    import asyncio
    async def post():
        await channels.Channel("x").asend({"n": 2})
        await channels.Channel("x").asend({"n": 3}, delay=0)
    asyncio.run(post())
    print(layers.Counting.sent, layer.receive(["x"])[1], layer.receive(["x"])[1])
    from django.core import checks
    assert not [found for found in checks.run_checks() if found.is_serious()]
    """
    assert run_code(tmp_path, code).splitlines() == [
        "1 {'n': 1} 3 Counting",
        "ChannelLayer old (routechan.layers.memory.InMemoryChannelLayer) default (layers.Counting)",
        "3 {'n': 2} {'n': 3}",
    ]


@pytest.mark.parametrize("command", [False, True])
def test_logging_of_1x(command: bool, tmp_path: Path) -> None:
    """AP-06, AP-07: what LOGGING says of ``django.channels`` holds for consumers; a command prints each line once."""
    code = """
    import io, logging
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=["channels"],
        CHANNEL_LAYERS={"default": {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": []}},
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"list": {"class": "logging.handlers.BufferingHandler", "capacity": 100}},
            "loggers": {"django.channels": {"handlers": ["list"], "level": "DEBUG"}},
        },
    )
    import django
    django.setup()
    from channels.log import handler, setup_logger
    handler.setStream(io.StringIO())
    if %s:
        assert setup_logger("routechan").name == setup_logger("django.channels").name == "django.channels"
    import routechan.consumers.failures
    routechan.consumers.failures.logger.error("in a consumer")
    routechan.consumers.failures.logger.debug("a detail")
    own = logging.getLogger("django.channels").handlers[0]
    print([record.getMessage() for record in own.buffer])
    print(handler.stream.getvalue().count("in a consumer"))
    """
    told, printed = run_code(tmp_path, code % command).splitlines()
    assert told == ("['in a consumer']" if command else "['in a consumer', 'a detail']")
    assert printed == str(int(command))
