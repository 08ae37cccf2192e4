"""Commands: the ones of Channels called and subclassed, workers run by hand, messages for later."""

from unittest import mock

from channels import Channel, channel_layers, route
from channels.delay.models import DelayedMessage
from channels.delay.worker import Worker as DelayWorker
from channels.log import setup_logger
from channels.management.commands import runserver, runworker
from channels.signals import worker_process_ready, worker_ready
from channels.staticfiles import StaticFilesConsumer
from channels.test import ChannelTestCase
from channels.worker import Worker, WorkerGroup
from django.core.management import CommandError, call_command


class StoppingWorker(Worker):
    """Stops after some rounds: ``termed`` is read once in each (WK-01)."""

    rounds = 0
    limit = 2

    @property
    def termed(self):
        self.rounds += 1
        return self.rounds > self.limit

    @termed.setter
    def termed(self, value):
        pass


class StoppingDelayWorker(DelayWorker):
    rounds = 0

    @property
    def termed(self):
        self.rounds += 1
        return self.rounds > 3

    @termed.setter
    def termed(self, value):
        pass


class Workers(ChannelTestCase):
    def test_a_worker_by_hand(self):
        """``Worker(channel_layer).run()``, subclassed."""
        layer = channel_layers["default"]
        Channel("game.event").send({"event": "won", "reply_channel": "player"})
        worker = StoppingWorker(layer, signal_handlers=False)
        worker.ready()
        worker.run()
        self.assertEqual(self.get_next_message("player", require=True)["text"], "won")

    def test_signals(self):
        """``worker_process_ready`` and ``worker_ready`` take receivers."""
        seen = []

        def receiver(**kwargs):
            seen.append(kwargs["sender"])

        worker_process_ready.connect(receiver)
        worker_ready.connect(receiver)
        try:
            worker = Worker(channel_layers["default"], signal_handlers=False)
            worker.ready()
            worker_process_ready.send(sender=worker)
        finally:
            worker_ready.disconnect(receiver)
            worker_process_ready.disconnect(receiver)
        self.assertEqual(seen, [worker, worker])

    def test_only_channels(self):
        worker = Worker(channel_layers["default"], only_channels=["websocket.*"], exclude_channels=["*.disconnect"])
        names = worker.apply_channel_filters(["websocket.connect", "websocket.disconnect", "other"])
        self.assertEqual(names, ["websocket.connect"])

    def test_runworker_called(self):
        """``call_command("runworker")`` refuses a layer of one process."""
        with self.assertRaises(CommandError):
            call_command("runworker", "--only-channels", "websocket.*", "--threads", "2")

    def test_runworker_subclassed(self):
        class Command(runworker.Command):
            help = "our own worker"

        with self.assertRaises(CommandError):
            call_command(Command())
        self.assertTrue(issubclass(runworker.WorkerGroup, WorkerGroup))

    def test_runserver_subclassed(self):
        """The command of a project's own, with another consumer for HTTP."""

        class Command(runserver.Command):
            def get_consumer(self, *args, **options):
                return "ours"

        command = Command()
        self.assertEqual(command.get_consumer(), "ours")
        self.assertIsInstance(runserver.Command().get_consumer(insecure_serving=True), StaticFilesConsumer)

    def test_setup_logger(self):
        """As commands do it, by verbosity."""
        self.assertTrue(setup_logger("usage.commands", 1).isEnabledFor(20))


class Later(ChannelTestCase):
    def test_delay(self):
        """``asgi.delay``: stored, and sent when due."""
        Channel("asgi.delay").send({"channel": "later", "content": {"n": 1}, "delay": 0})
        worker = StoppingDelayWorker(channel_layers["default"], signal_handlers=False, database_sleep_duration=0)
        worker.run()
        self.assertEqual(self.get_next_message("later", require=True)["n"], 1)
        self.assertEqual(DelayedMessage.objects.count(), 0)

    def test_delay_is_kept(self):
        Channel("asgi.delay").send({"channel": "later", "content": {"n": 1}, "delay": 60000})
        worker = StoppingDelayWorker(channel_layers["default"], signal_handlers=False, database_sleep_duration=0)
        worker.run()
        self.assertIsNone(self.get_next_message("later"))
        self.assertEqual(DelayedMessage.objects.count(), 1)


class Replaced(ChannelTestCase):
    def test_a_consumer_mocked(self):
        """A mock as a consumer, and the worker's class patched in the command's module."""
        consumer = mock.Mock()
        layer = channel_layers["default"]
        layer.router.add_route(route("mocked", consumer))
        Channel("mocked").send({"a": 1})
        StoppingWorker(layer, signal_handlers=False).run()
        self.assertEqual(consumer.call_count, 1)
        self.assertEqual(consumer.call_args[0][0]["a"], 1)
