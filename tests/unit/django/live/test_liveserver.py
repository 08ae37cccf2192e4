"""``ChannelLiveServerTestCase``: a real server, and clients that know nothing of Django."""

from __future__ import annotations

import threading
import unittest
import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.test import override_settings
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from routechan import Group
from routechan.layers import channel_layers
from routechan_django.signals import consumer_finished, consumer_started
from routechan_django.test import ChannelLiveServerTestCase
from routechan_django.test.databases import SharedDatabases
from routechan_django.test.servers import DaphneProcess, ProcessSetup

from . import site

PATIENCE = 20

BACKEND = "routechan.layers.InMemoryChannelLayer"
SITE = {
    "ROOT_URLCONF": "tests.unit.django.live.site",
    "CHANNEL_LAYERS": {
        "default": {"BACKEND": BACKEND, "ROUTING": "tests.unit.django.live.site.channel_routing"},
        "other": {"BACKEND": BACKEND, "ROUTING": []},
    },
}


class LiveTestCase(ChannelLiveServerTestCase):
    def open(self, path: str, **headers: str) -> ClientConnection:
        with ExitStack() as stack:
            url = self.live_server_ws_url + path
            socket = stack.enter_context(connect(url, additional_headers=headers, proxy=None))
            self.addCleanup(stack.pop_all().close)
        return socket

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.live_server_url + path, timeout=PATIENCE) as response:
            content: bytes = response.read()
            return content.decode()


@override_settings(**SITE)
class LiveServerTests(LiveTestCase):
    def setUp(self) -> None:  # without super().setUp(), on purpose
        self.url = self.live_server_url

    def test_sockets_and_requests_share_the_database_with_the_test(self) -> None:
        """TC-36, LD-32: consumers of each kind, views and the test see what the others wrote, in memory too."""
        assert connection.is_in_memory_db()  # type: ignore[attr-defined]
        site.used.clear()
        users = get_user_model().objects
        users.create(username="of-the-test")
        for path, so_far in (
            ("/plain/", "of-the-test plain"),
            ("/async/", "of-the-test plain async"),
            ("/stream/", "of-the-test plain async stream"),
        ):
            socket = self.open(path)
            socket.send(path.strip("/"))
            assert socket.recv(PATIENCE) == so_far
        assert self.get("/users/") == "of-the-test plain async stream of-the-view"
        assert users.count() == 5
        assert site.used == [connection.connection] * 4

    def test_the_database_is_empty_again(self) -> None:
        """TC-35: a ``TransactionTestCase``; what one test wrote, through whatever thread, is removed."""
        assert get_user_model().objects.count() == 0

    def test_urls(self) -> None:
        """TC-37: the addresses, there in ``setUp``, with a port the system chose."""
        assert self.url == self.live_server_url
        assert self.live_server_url.startswith("http://localhost:")
        assert self.live_server_ws_url == self.live_server_url.replace("http", "ws")

    def test_groups(self) -> None:
        """A message of one socket reaches the other, and what the test sends reaches both."""
        first, second = self.open("/group/"), self.open("/group/")
        first.send("hello")
        assert [first.recv(PATIENCE), second.recv(PATIENCE)] == ["hello", "hello"]
        Group("everybody").send({"text": "from the test"})
        assert [first.recv(PATIENCE), second.recv(PATIENCE)] == ["from the test", "from the test"]

    def test_custom_channels(self) -> None:
        """Channels the routing names are consumed too, as by 1.x's worker process."""
        socket = self.open("/later/")
        socket.send("this")
        assert socket.recv(PATIENCE) == "done: this"

    def test_origins(self) -> None:
        """Pages of the server itself may connect, those of other hosts may not."""
        self.open("/group/", Origin=self.live_server_url)
        with pytest.raises(InvalidStatus, match="403"):
            self.open("/group/", Origin="http://evil.example")

    def test_static_files(self) -> None:
        """TC-35, TC-39: the files of the staticfiles app are served, although DEBUG is off."""
        assert "WebSocketBridge" in self.get("/static/channels/js/websocketbridge.js")


WORKERS = {"CHANNEL_LAYERS": {"default": {**SITE["CHANNEL_LAYERS"]["default"], "CONSUMERS": "workers"}}}  # type: ignore[index]


@override_settings(**{**SITE, **WORKERS})
class WorkersTests(LiveServerTests):
    """The same, with the consumers in a worker beside the server (TC-35, TC-39)."""

    worker_threads = 4


@override_settings(**SITE)
class NoStaticTests(LiveTestCase):
    serve_static = False

    def test_static_files_are_left_out(self) -> None:
        """TC-35: ``serve_static = False``."""
        with pytest.raises(urllib.error.HTTPError, match="404") as raised:
            self.get("/static/channels/js/websocketbridge.js")
        raised.value.close()


@override_settings(
    **{**SITE, "CHANNEL_LAYERS": {"default": {**SITE["CHANNEL_LAYERS"]["default"], "TEST_CONFIG": {"expiry": 100500}}}}  # type: ignore[index]
)
class LayerTests(LiveTestCase):
    worker_threads = 3

    def test_the_layer_is_made_from_test_config(self) -> None:
        """TC-36: with the options of TEST_CONFIG, in place while the test runs."""
        assert channel_layers["default"].expiry == 100500
        socket = self.open("/group/")
        socket.send("hello")
        assert socket.recv(PATIENCE) == "hello"
        assert channel_layers["default"].group_count("everybody") == 1


def test_a_thread_gives_back_what_it_was_lent() -> None:
    """TC-40: after a consumer its thread has no connection of the test any more, which then is the test's alone."""
    databases = SharedDatabases()
    count = connection._thread_sharing_count  # type: ignore[attr-defined]
    seen: list[bool] = []

    def look() -> None:
        databases.use_here()
        seen.append(connections["default"] is connection_of_the_test)
        databases.leave_here()
        seen.append(connections["default"] is connection_of_the_test)
        connections.close_all()

    connection_of_the_test = connections["default"]
    databases.share()
    try:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(PATIENCE)
        databases.use_here()  # in the thread of the test these do nothing
        databases.leave_here()
        assert connections["default"] is connection_of_the_test
    finally:
        databases.end()
    assert seen == [True, False]
    assert connection._thread_sharing_count == count  # type: ignore[attr-defined]


def run(case: type[unittest.TestCase]) -> unittest.TestResult:
    return unittest.TestSuite([case()]).run(unittest.TestResult())


@override_settings(**SITE)
def test_nothing_is_left_behind() -> None:
    """TC-40: after the test the server is gone, with its threads, receivers and what it lent its threads."""
    ports: list[int] = []
    receivers = [len(signal.receivers) for signal in (consumer_started, consumer_finished)]
    sharing = connection.allow_thread_sharing

    class Case(LiveTestCase):
        def runTest(self) -> None:
            socket = self.open("/plain/")
            socket.send("x")
            socket.recv(PATIENCE)
            ports.append(self._server.port)
            assert connection.allow_thread_sharing

    result = run(Case)
    assert result.wasSuccessful(), result.errors
    with pytest.raises(OSError, match="refused"), connect(f"ws://localhost:{ports[0]}/plain/", proxy=None):
        pass
    assert not [thread.name for thread in threading.enumerate() if "routechan-Daphne" in thread.name]
    assert [len(signal.receivers) for signal in (consumer_started, consumer_finished)] == receivers
    assert connection.allow_thread_sharing == sharing


@override_settings(**SITE)
def test_a_server_that_cannot_start_fails_the_test() -> None:
    """TC-41: in 1.x the test went on and failed later; here its error is that of the server, and the run goes on."""

    class Broken(DaphneProcess):
        def run(self) -> None:
            raise LookupError("on purpose")

    class Case(LiveTestCase):
        ProtocolServerProcess = Broken

        def runTest(self) -> None:
            raise AssertionError("it went on")

    before = channel_layers["default"]
    result = run(Case)
    assert "LookupError: on purpose" in result.errors[0][1]
    assert not result.failures
    assert channel_layers["default"] is before


def test_a_server_that_exits_is_an_error_of_its_own() -> None:
    """TC-41: ``SystemExit`` on the server's thread, as uvicorn gives, does not end the test run."""

    class Exits(ProcessSetup):
        def run(self) -> None:
            raise SystemExit(3)

        def stop(self) -> None: ...

    with pytest.raises(RuntimeError, match="Exits could not start, see the log"), Exits():
        pass
