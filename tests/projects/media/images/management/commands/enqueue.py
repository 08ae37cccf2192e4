from __future__ import print_function

from channels.asgi import channel_layers
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = 'Resizes an image again.'

    def add_arguments(self, parser):
        parser.add_argument('url')

    def handle(self, *args, **options):
        layer = channel_layers['default']
        try:
            layer.send('images.resize', {'url': options['url'], 'widths': [1], 'album': 'old'})
        except layer.ChannelFull:
            print('full', file=self.stderr)
