from __future__ import unicode_literals

from channels import Group
from channels.tests import ChannelTestCase, HttpClient
from django.contrib.auth import get_user_model
from django.core.urlresolvers import reverse
from django.utils import six

from .models import Message, Room

try:
    from unittest import mock
except ImportError:
    import mock


class ChatTests(ChannelTestCase):

    def setUp(self):
        self.user = get_user_model().objects.create_user('ann', password='secret')
        self.room = Room.objects.create(title='Lobby', slug='lobby')

    def connected(self):
        client = HttpClient(ordered=True)
        client.login(username='ann', password='secret')
        client.send_and_consume('websocket.connect', path='/chat/stream/')
        return client

    def command(self, client, **content):
        client.send_and_consume('websocket.receive', path='/chat/stream/', text=content)
        client.consume('chat.receive')
        return client.receive()

    def test_join_and_send(self):
        client = self.connected()
        reply = self.command(client, command='join', room=self.room.id)
        self.assertEquals(reply['title'], 'Lobby')
        reply = self.command(client, command='send', room=self.room.id, message='Hi')
        self.assertDictEqual(
            reply, {'room': six.text_type(self.room.id), 'message': 'Hi', 'username': 'ann'}
        )
        self.assertEqual([str(message) for message in Message.objects.all()], ['Hi'])

    def test_staff_only(self):
        self.room.staff_only = True
        self.room.save()
        reply = self.command(self.connected(), command='join', room=self.room.id)
        self.assertEqual(reply, {'error': 'ROOM_ACCESS_DENIED'})

    def test_everybody_is_in_a_group(self):
        client = self.connected()
        Group('everybody').send({'text': '{}'})
        self.assertEqual(client.receive(), {})
        client.send_and_consume('websocket.disconnect', path='/chat/stream/')
        Group('everybody').send({'text': '{}'})
        self.assertIsNone(client.receive())

    def test_what_the_model_sends(self):
        with mock.patch('channels.channel.Group.send') as send:
            self.room.send_message('Hi', self.user)
        self.assertEqual(send.call_count, 1)

    def test_views(self):
        url = reverse('chat:index')
        self.assertEqual(self.client.get(url).status_code, 302)
        self.client.login(username='ann', password='secret')
        self.assertContains(self.client.get(url), '/room/lobby/')
        url = self.room.get_absolute_url()
        self.assertNotContains(self.client.get(url), 'staff')
        response = self.client.get(url, HTTP_X_REQUESTED_WITH='XMLHttpRequest')
        self.assertEqual(response.json(), {'title': 'Lobby'})

    def test_login_page(self):
        self.assertContains(self.client.get(reverse('login')), 'csrf')
