"""Notices arrive when the transaction is committed, at the staff or at one user."""

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from rooms.models import Line, Room
from rooms.notifications import notify

from routechan import DenyConnection
from routechan_django.test import TransactionChannelTestCase, WSClient


def connected(user: User) -> WSClient:
    client = WSClient()
    client.force_login(user)
    client.send_and_consume("websocket.connect", path="/notices/")
    return client


class Notices(TransactionChannelTestCase):
    def setUp(self) -> None:
        self.room = Room.objects.create(slug="lobby", title="Lobby")
        self.ann = User.objects.create_user("ann", is_staff=True)
        self.ben = User.objects.create_user("ben")
        self.client_of_ann, self.client_of_ben = connected(self.ann), connected(self.ben)

    def test_the_staff_hears_of_a_line_after_the_commit(self) -> None:
        with transaction.atomic():
            Line.objects.create(room=self.room, author=self.ben, text="Hello")
            assert self.client_of_ann.receive() is None
        assert self.client_of_ann.receive() == {"notice": "New in Lobby: Hello"}
        assert self.client_of_ann.receive() is None
        assert self.client_of_ben.receive() is None

    def test_nobody_hears_of_what_is_rolled_back(self) -> None:
        with transaction.atomic():
            Line.objects.create(room=self.room, author=self.ben, text="Hello")
            transaction.set_rollback(True)
        assert self.client_of_ann.receive() is None

    def test_one_user_is_told(self) -> None:
        notify(self.ben, "Your room is ready")
        assert self.client_of_ben.receive() == {"notice": "Your room is ready"}
        assert self.client_of_ann.receive() is None

    def test_strangers_are_refused(self) -> None:
        with pytest.raises(DenyConnection):
            WSClient().send_and_consume("websocket.connect", path="/notices/")
