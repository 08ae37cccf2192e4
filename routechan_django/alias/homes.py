"""What a module has under its old name only: classes that say where 1.x had them, and submodules as attributes."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Mapping
from types import ModuleType

#: Old module -> the classes and functions that 1.x defined there (13.1). Code reads the dotted name of an exception or
#: of a message, in logs and filters, and pickles hold it.
HOMES: Mapping[str, str] = {
    "asgi_redis.core": "RedisChannelLayer",
    "asgi_redis.local": "RedisLocalChannelLayer",
    "asgi_redis.sentinel": "RedisSentinelChannelLayer",
    "asgiref.inmemory": "ChannelLayer",
    "channels.asgi": "ChannelLayerManager ChannelLayerWrapper InvalidChannelLayerError get_channel_layer",
    "channels.auth": "channel_and_http_session_user_from_http channel_session_user channel_session_user_from_http "
    "http_session_user transfer_user",
    "channels.binding.base": "Binding BindingMetaclass",
    "channels.binding.websockets": "WebsocketBinding WebsocketBindingWithMembers",
    "channels.channel": "Channel Group",
    "channels.delay.worker": "Worker",
    "channels.exceptions": "ChannelSocketException ConsumeLater DenyConnection RequestAborted RequestTimeout "
    "ResponseLater SendNotAvailableOnDemultiplexer WebsocketCloseException",
    "channels.generic.base": "BaseConsumer",
    "channels.generic.websockets": "JsonWebsocketConsumer WebsocketConsumer WebsocketDemultiplexer "
    "WebsocketMultiplexer",
    "channels.handler": "AsgiHandler AsgiRequest ViewConsumer",
    "channels.hacks": "monkeypatch_django",
    "channels.log": "setup_logger",
    "channels.management.commands.runserver": "Command WorkerThread",
    "channels.management.commands.runworker": "Command",
    "channels.message": "Message PendingMessageStore",
    "channels.routing": "Include Route RouteClass Router connect_consumer null_consumer",
    "channels.security.websockets": "AllowedHostsOnlyOriginValidator BaseOriginValidator",
    "channels.sessions": "channel_and_http_session channel_session enforce_ordering http_session requeue_messages "
    "session_for_reply_channel wait_channel_name",
    "channels.staticfiles": "StaticFilesConsumer StaticFilesHandler",
    "channels.test.base": "ChannelTestCase ChannelTestCaseMixin Client TransactionChannelTestCase apply_routes",
    "channels.test.liveserver": "ChannelLiveServerTestCase DaphneProcess ProcessSetup WorkerProcess",
    "channels.test.websocket": "WSClient",
    "channels.utils": "name_that_thing",
    "channels.worker": "Worker WorkerGroup",
}

#: Module of 1.x that does no more than import these.
_IMPORTS = {
    "asgi_redis": ("asgi_redis.core", "asgi_redis.local", "asgi_redis.sentinel"),
    "channels.binding": ("channels.binding.base",),
    "channels.generic": ("channels.generic.base",),
    "channels.test": ("channels.test.base", "channels.test.liveserver", "channels.test.websocket"),
}


def adopt(name: str, module: ModuleType) -> None:
    """Give ``module`` what it has under its old ``name``, when it is first imported by that."""
    for home in (name, *_IMPORTS.get(name, ())):
        for listed in HOMES.get(home, "").split():
            found = getattr(module, listed, None)
            if getattr(found, "__module__", "").startswith("routechan"):
                found.__module__ = home
    if name == "channels.test":
        module.WSClient._content_of_1x = True
    if hasattr(module, "__path__") and not hasattr(module, "__getattr__"):
        module.__getattr__ = functools.partial(_own_submodule, name, module.__name__)  # type: ignore[method-assign]


def submodule(package: str, name: str) -> ModuleType:
    """The module ``package.name``, as an attribute of its package, imported when it is first asked for.

    1.x imported most of its modules when the app was ready, so that ``import channels`` alone gave them.

    Args:
        package: The dotted name of the package.
        name: The attribute.

    Raises:
        AttributeError: There is no such module.
    """
    missing = f"module {package!r} has no attribute {name!r}"
    if name.startswith("_"):
        raise AttributeError(missing)
    path = f"{package}.{name}"
    try:
        found = importlib.util.find_spec(path)
    except ModuleNotFoundError as error:  # its text says what to use instead
        raise AttributeError(str(error)) from None
    if found is None:
        raise AttributeError(missing)
    return importlib.import_module(path)


def _own_submodule(old_package: str, package: str, name: str) -> ModuleType:
    """``submodule`` of a package of ours, which has two names; its own code imports submodules from it too."""
    try:
        module = submodule(package, name)
    except AttributeError as error:
        raise AttributeError(str(error).replace(package, old_package)) from None
    adopt(f"{old_package}.{name}", module)
    return module
