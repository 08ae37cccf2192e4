"""A token in the URL logs a client without cookies in."""

import json

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.test import RequestFactory
from rooms.tokens import give_token, ws_connect

from routechan import DenyConnection, route
from routechan_django.test import ChannelTestCase, WSClient, apply_routes


@apply_routes([route("websocket.connect", ws_connect, path=r"^/api/$")])
class Tokens(ChannelTestCase):
    def test_a_token_from_the_view_opens_a_socket(self) -> None:
        request = RequestFactory().get("/token/")
        request.user = User.objects.create_user("ann")
        token = json.loads(give_token(request).content)["token"]
        client = WSClient()
        client.send_and_consume("websocket.connect", path=f"/api/?token={token}")
        assert client.receive(json=False) == "Hello ann"

    def test_any_other_is_refused(self) -> None:
        tokens = "", "1:a:b", signing.dumps(1), signing.dumps(9, salt="socket")
        for query in ("", *(f"?token={token}" for token in tokens)):
            with pytest.raises(DenyConnection):
                WSClient().send_and_consume("websocket.connect", path=f"/api/{query}")
