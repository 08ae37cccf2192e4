import json

import mock
from channels.tests import ChannelTestCase, Client
from django.core.management import call_command

from .consumers import STORE


class ImagesTests(ChannelTestCase):

    def test_resize(self):
        watcher = Client()
        watcher.join_group('album-7')
        body = json.dumps({'name': 'cat.png', 'widths': [10, 20], 'album': 7})
        response = self.client.post('/upload/', body, content_type='application/json')
        self.assertEquals(response['X-Version'], '1')
        self.assertEquals(response['Content-Type'], 'text/plain')
        watcher.consume('images.resize')
        self.assertEqual(json.loads(watcher.receive()['text']), {'sizes': [10, 20]})
        self.assertItemsEqual(STORE.sizes('/cat.png'), [20, 10])

    def test_bad_message(self):
        client = Client()
        with self.assertRaises(ValueError):
            client.send_and_consume('images.resize', {'url': 'x', 'widths': ['wide']})
        self.assertIn('bad message:', ''.join(STORE.lines))

    def test_album(self):
        content = {'path': '/albums/9', 'order': 0}
        client = Client()
        client.send_and_consume('websocket.connect', content)
        self.assertEqual(client.receive(), {'accept': True})
        client.send_and_consume('websocket.receive', {'text': '{"ping": 1}', 'path': '/albums/9', 'order': 1})
        self.assertEqual(client.receive(), {'text': 'pong'})

    def test_command(self):
        with mock.patch('channels.asgi.ChannelLayerManager.__getitem__') as layers:
            call_command('enqueue', 'http://localhost/x')
        self.assertEqual(layers.return_value.send.call_count, 1)

    def test_about(self):
        self.assertContains(self.client.get('/about/'), 'welcome, /about/')
