"""Every name that real code imports, spelt as it is there."""

import logging
import warnings
from unittest import TestCase


class TopNames(TestCase):
    def test_the_package(self):
        """``import channels`` and what it holds."""
        import channels

        self.assertEqual(channels.__version__, "1.1.8")
        self.assertEqual(channels.DEFAULT_CHANNEL_LAYER, "default")
        self.assertEqual(str(channels.Channel("x")), "x")
        self.assertIn("default", channels.channel_layers)

    def test_both_spellings(self):
        """The short name and the long one are the same thing."""
        from channels import Channel, Group, asgi, channel, channel_layers, include, route, route_class, routing

        self.assertIs(Channel, channel.Channel)
        self.assertIs(Group, channel.Group)
        self.assertIs(channel_layers, asgi.channel_layers)
        self.assertIs(include, routing.include)
        self.assertIs(route, routing.route)
        self.assertIs(route_class, routing.route_class)
        self.assertIs(routing.Route, routing.route)
        self.assertIs(routing.Include, routing.include)
        self.assertIsInstance(routing.route("x", routing.null_consumer), routing.Route)

    def test_the_default_alias(self):
        """``DEFAULT_CHANNEL_LAYER`` from the package, and where it is used."""
        from channels import DEFAULT_CHANNEL_LAYER, Group

        self.assertEqual(Group("x").channel_layer.alias, DEFAULT_CHANNEL_LAYER)


class ModuleNames(TestCase):
    def test_asgi(self):
        from channels.asgi import channel_layers, get_channel_layer

        self.assertTrue(callable(get_channel_layer().send))
        self.assertEqual(channel_layers["default"].alias, "default")

    def test_auth(self):
        from channels.auth import (
            channel_and_http_session_user_from_http,
            channel_session_user,
            channel_session_user_from_http,
            http_session_user,
            transfer_user,
        )

        for name in (channel_and_http_session_user_from_http, channel_session_user, channel_session_user_from_http):
            self.assertEqual(name(test_consumer).__name__, "test_consumer")
        self.assertEqual(http_session_user(test_consumer).__name__, "test_consumer")
        self.assertTrue(callable(transfer_user))

    def test_sessions(self):
        from channels.sessions import (
            channel_and_http_session,
            channel_session,
            enforce_ordering,
            http_session,
            session_for_reply_channel,
        )

        for name in (channel_and_http_session, channel_session, enforce_ordering, http_session):
            self.assertEqual(name(test_consumer).__name__, "test_consumer")
        self.assertTrue(session_for_reply_channel("x!y").session_key.startswith("chn"))

    def test_generic(self):
        from channels.generic import BaseConsumer, websockets
        from channels.generic.base import BaseConsumer as defined
        from channels.generic.websockets import (
            JsonWebsocketConsumer,
            WebsocketConsumer,
            WebsocketDemultiplexer,
            WebsocketMultiplexer,
        )

        self.assertIs(BaseConsumer, defined)
        self.assertTrue(issubclass(JsonWebsocketConsumer, WebsocketConsumer))
        self.assertTrue(issubclass(WebsocketDemultiplexer, JsonWebsocketConsumer))
        self.assertIs(websockets.WebsocketMultiplexer, WebsocketMultiplexer)

    def test_binding(self):
        from channels.binding import Binding, websockets
        from channels.binding.base import CREATE, DELETE, UPDATE, BindingMetaclass
        from channels.binding.websockets import WebsocketBinding

        self.assertEqual((CREATE, UPDATE, DELETE), ("create", "update", "delete"))
        self.assertIsInstance(WebsocketBinding, BindingMetaclass)
        self.assertTrue(issubclass(websockets.WebsocketBinding, Binding))

    def test_exceptions(self):
        from channels.exceptions import (
            ChannelSocketException,
            ConsumeLater,
            DenyConnection,
            SendNotAvailableOnDemultiplexer,
            WebsocketCloseException,
        )

        for name in (ConsumeLater, DenyConnection, SendNotAvailableOnDemultiplexer):
            self.assertTrue(issubclass(name, Exception))
        self.assertTrue(issubclass(WebsocketCloseException, ChannelSocketException))

    def test_handler(self):
        from channels.handler import AsgiHandler, AsgiRequest
        from channels.staticfiles import StaticFilesConsumer
        from django.http import HttpRequest

        self.assertTrue(issubclass(AsgiRequest, HttpRequest))
        self.assertTrue(callable(AsgiHandler.encode_response))
        self.assertTrue(callable(StaticFilesConsumer()))

    def test_message_and_utils(self):
        from channels.message import Message
        from channels.utils import name_that_thing

        self.assertEqual(Message({"a": 1}, "x", None)["a"], 1)
        self.assertEqual(name_that_thing(test_consumer), "%s.test_consumer" % __name__)

    def test_log(self):
        """``import channels.log`` and ``setup_logger``."""
        import channels.log
        from channels.log import setup_logger

        self.assertIs(setup_logger, channels.log.setup_logger)
        logger = setup_logger("usage.own", 2)
        self.assertIs(logger, logging.getLogger("usage.own"))
        self.assertEqual(logger.level, logging.DEBUG)
        self.assertEqual(setup_logger("usage.own").handlers, logger.handlers)

    def test_worker_and_signals(self):
        from channels import worker
        from channels.signals import consumer_finished, consumer_started, worker_process_ready, worker_ready
        from channels.worker import Worker

        self.assertIs(worker.Worker, Worker)
        self.assertTrue(issubclass(worker.WorkerGroup, Worker))
        for signal in (consumer_finished, consumer_started, worker_process_ready, worker_ready):
            self.assertTrue(callable(signal.connect))

    def test_commands(self):
        from channels.management.commands import runserver
        from channels.management.commands.runserver import Command, Server, WorkerThread

        self.assertTrue(issubclass(runserver.Command, Command))
        self.assertTrue(callable(Server))
        self.assertTrue(callable(WorkerThread))

    def test_testing(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from channels.test import (
                ChannelLiveServerTestCase,
                ChannelTestCase,
                Client,
                HttpClient,
                TransactionChannelTestCase,
                WSClient,
                apply_routes,
            )
            from channels.test.base import ChannelTestCaseMixin
            from channels.tests import ChannelTestCase as old
            from channels.tests import HttpClient as old_client
        self.assertTrue(issubclass(ChannelTestCase, ChannelTestCaseMixin))
        self.assertTrue(issubclass(TransactionChannelTestCase, ChannelTestCaseMixin))
        self.assertIs(old, ChannelTestCase)
        self.assertIs(old_client, HttpClient)
        self.assertTrue(issubclass(HttpClient, WSClient))
        self.assertTrue(issubclass(WSClient, Client))
        self.assertTrue(callable(apply_routes))
        self.assertEqual(ChannelLiveServerTestCase.host, "localhost")

    def test_deprecated_spelling_warns(self):
        """``channels.tests`` is the old name of ``channels.test``."""
        import importlib
        import sys

        old = sys.modules.pop("channels.tests", None)
        sys.modules.pop(getattr(old, "__name__", ""), None)
        with self.assertWarns(DeprecationWarning):
            importlib.import_module("channels.tests")

    def test_other_packages(self):
        """The layers' own packages are names too."""
        import asgi_redis
        import asgiref.base_layer
        from asgi_redis import RedisChannelLayer
        from asgiref.inmemory import ChannelLayer

        self.assertIs(asgi_redis.RedisChannelLayer, RedisChannelLayer)
        self.assertTrue(issubclass(ChannelLayer, asgiref.base_layer.BaseChannelLayer))
        self.assertTrue(issubclass(ChannelLayer.ChannelFull, Exception))


def test_consumer(message):
    pass
