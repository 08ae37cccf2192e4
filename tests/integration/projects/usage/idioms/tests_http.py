"""``http.request`` in consumers: answers by hand, Django's views, static files."""

from channels.handler import AsgiHandler, AsgiRequest, ViewConsumer
from channels.message import Message
from channels.routing import route
from channels.test import ChannelTestCase, Client, apply_routes
from django.http import HttpResponse


def request(path, **content):
    return {"method": "GET", "path": path, "query_string": b"", "headers": [], **content}


class Http(ChannelTestCase):
    def test_an_answer_by_hand(self):
        """``AsgiHandler.encode_response`` in a consumer."""
        client = Client()
        client.send_and_consume("http.request", request("/by-hand/"))
        answer = client.receive()
        self.assertEqual((answer["status"], answer["content"]), (200, b"by hand: /by-hand/"))

    def test_encode_response(self):
        parts = list(AsgiHandler.encode_response(HttpResponse(b"body", status=201)))
        self.assertEqual(
            [(part["status"], part["content"], part["more_content"]) for part in parts], [(201, b"body", False)]
        )

    def test_views(self):
        """``ViewConsumer`` answers with Django's own views."""
        with apply_routes([route("http.request", ViewConsumer())]):
            client = Client()
            client.send_and_consume("http.request", request("/hello/", query_string=b"name=Ann"))
        self.assertEqual(client.receive()["content"], b"Hello Ann")

    def test_request(self):
        made = AsgiRequest(
            Message(request("/x/", query_string=b"a=1", headers=[[b"cookie", b"b=2"]]), "http.request", None)
        )
        self.assertEqual((made.path, made.GET["a"], made.COOKIES["b"]), ("/x/", "1", "2"))

    def test_static_files(self):
        """``StaticFilesConsumer`` finds the browser client."""
        client = Client()
        client.send_and_consume("http.request", request("/static/channels/js/websocketbridge.js"))
        first = client.receive()
        self.assertEqual(first["status"], 200)
        self.assertIn(b"WebSocketBridge", first["content"])
