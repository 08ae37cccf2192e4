"""Every module of Channels 1.1.8 and the names that code imports from it (spec section 13)."""

from __future__ import annotations

#: Module -> its public names (13.1).
PUBLIC: dict[str, str] = {
    "channels": "__version__ default_app_config DEFAULT_CHANNEL_LAYER channel_layers Channel Group route route_class "
    "include",
    "channels.apps": "ChannelsConfig",
    "channels.asgi": "InvalidChannelLayerError ChannelLayerManager ChannelLayerWrapper get_channel_layer "
    "channel_layers",
    "channels.auth": "transfer_user channel_session_user http_session_user channel_session_user_from_http "
    "channel_and_http_session_user_from_http",
    "channels.binding": "Binding",
    "channels.binding.base": "CREATE UPDATE DELETE BindingMetaclass Binding",
    "channels.binding.websockets": "WebsocketBinding WebsocketBindingWithMembers",
    "channels.channel": "Channel Group",
    "channels.delay": "default_app_config",
    "channels.delay.apps": "DelayConfig",
    "channels.delay.management": "",
    "channels.delay.management.commands": "",
    "channels.delay.management.commands.rundelay": "Command",
    "channels.delay.migrations": "",
    "channels.delay.migrations.0001_initial": "Migration",
    "channels.delay.models": "DelayedMessageQuerySet DelayedMessage",
    "channels.delay.worker": "Worker logger",
    "channels.exceptions": "ConsumeLater ResponseLater RequestTimeout RequestAborted DenyConnection "
    "ChannelSocketException WebsocketCloseException SendNotAvailableOnDemultiplexer",
    "channels.generic": "BaseConsumer",
    "channels.generic.base": "BaseConsumer",
    "channels.generic.websockets": "WebsocketConsumer JsonWebsocketConsumer WebsocketMultiplexer "
    "WebsocketDemultiplexer",
    "channels.hacks": "monkeypatch_django",
    "channels.handler": "AsgiRequest AsgiHandler ViewConsumer logger",
    "channels.log": "handler setup_logger",
    "channels.management": "",
    "channels.management.commands": "",
    "channels.management.commands.runserver": "Command WorkerThread",
    "channels.management.commands.runworker": "Command",
    "channels.message": "Message PendingMessageStore pending_message_store",
    "channels.package_checks": "required_versions check_all",
    "channels.routing": "Router Route route RouteClass route_class Include include null_consumer connect_consumer",
    "channels.security": "",
    "channels.security.websockets": "BaseOriginValidator AllowedHostsOnlyOriginValidator allowed_hosts_only",
    "channels.sessions": "session_for_reply_channel channel_session wait_channel_name requeue_messages "
    "enforce_ordering http_session channel_and_http_session",
    "channels.signals": "consumer_started consumer_finished worker_ready worker_process_ready",
    "channels.staticfiles": "StaticFilesHandler StaticFilesConsumer",
    "channels.test": "ChannelTestCase TransactionChannelTestCase Client WSClient HttpClient apply_routes "
    "ChannelLiveServerTestCase",
    "channels.test.base": "ChannelTestCaseMixin ChannelTestCase TransactionChannelTestCase Client apply_routes",
    "channels.test.http": "HttpClient",
    "channels.test.liveserver": "ProcessSetup WorkerProcess DaphneProcess ChannelLiveServerTestCase",
    "channels.test.websocket": "WSClient json_module",
    "channels.tests": "ChannelTestCase TransactionChannelTestCase Client WSClient HttpClient apply_routes "
    "ChannelLiveServerTestCase",
    "channels.utils": "name_that_thing",
    "channels.worker": "Worker WorkerGroup logger",
}

_COMMANDS = "setup_logger channel_layers"

#: Module -> the names that it imports, and that code imports from there (13.2).
INCIDENTAL: dict[str, str] = {
    "channels": "asgi channel routing utils",
    "channels.asgi": "Router name_that_thing settings import_string",
    "channels.auth": "channel_session http_session channel_and_http_session auth",
    "channels.binding.base": "channel_session channel_session_user Group apps pre_save post_save pre_delete "
    "post_delete",
    "channels.binding.websockets": "Binding WebsocketMultiplexer enforce_ordering DjangoJSONEncoder serializers json",
    "channels.channel": "DEFAULT_CHANNEL_LAYER channel_layers",
    "channels.delay.models": "Channel channel_layers DEFAULT_CHANNEL_LAYER",
    "channels.delay.worker": "DelayedMessage",
    "channels.generic.base": "channel_session channel_session_user route_class",
    "channels.generic.websockets": "BaseConsumer Group enforce_ordering SendNotAvailableOnDemultiplexer "
    "channel_session_user_from_http channel_and_http_session_user_from_http DjangoJSONEncoder json",
    "channels.handler": "RequestAborted RequestTimeout ResponseLaterOuter http base signals HttpResponse FileResponse "
    "HttpResponseServerError set_script_prefix cached_property BytesIO",
    "channels.management.commands.runserver": "Worker ViewConsumer StaticFilesConsumer setup_logger channel_layers "
    "Server build_endpoint_description_strings sys",
    "channels.management.commands.runworker": "Worker WorkerGroup ViewConsumer StaticFilesConsumer setup_logger "
    "channel_layers worker_process_ready",
    "channels.message": "Channel consumer_started consumer_finished",
    "channels.routing": "name_that_thing ImproperlyConfigured",
    "channels.sessions": "AsgiRequest Message ConsumeLater CreateError signed_cookies",
    "channels.signals": "close_old_connections Signal",
    "channels.staticfiles": "AsgiHandler ViewConsumer serve utils",
    "channels.test.base": "InMemoryChannelLayer ChannelLayerWrapper Message Router include Group close_old_connections",
    "channels.test.liveserver": "Server Worker WorkerGroup ChannelLayerManager StaticFilesConsumer",
    "channels.test.websocket": "Client session_for_reply_channel SimpleCookie",
    "channels.worker": "Message ConsumeLater DenyConnection ChannelSocketException consumer_started "
    "consumer_finished worker_ready name_that_thing",
}

#: Names that are not there (docs/differences.rst).
GONE = {"channels.test.liveserver": "reactor"}

#: Modules that are there for code of 1.x, and say so when they are imported.
DEPRECATED = ("channels.test.http", "channels.tests")

#: Modules that 1.1.8 did not have (13.3), and what the error says.
ABSENT = {
    "channels.layers": "channels.asgi.get_channel_layer",
    "channels.consumer": "as functions",
    "channels.db": "sync_to_async",
    "channels.middleware": "channels.sessions",
    "channels.testing": "channels.test",
    "channels.generic.websocket": "channels.generic.websockets",
    "channels.generic.http": "http.request",
    "channels.security.websocket": "channels.security.websockets",
    "channels.database_layer": "RedisChannelLayer",
}

#: Modules whose home is not ``routechan_django`` with the same name.
HOMES = {
    "channels": "routechan",
    "channels.apps": "routechan_django.alias.apps",
    "channels.channel": "routechan.channel",
    "channels.delay.apps": "routechan_django.alias.delay_apps",
    "channels.exceptions": "routechan.exceptions",
    "channels.message": "routechan.message",
    "channels.routing": "routechan.routing",
}


def names() -> list[tuple[str, str]]:
    """``(module, name)`` of each, public or not."""
    return [
        (module, name) for table in (PUBLIC, INCIDENTAL) for module, listed in table.items() for name in listed.split()
    ]
