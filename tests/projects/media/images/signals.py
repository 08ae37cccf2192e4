import logging

from django.dispatch import Signal
from channels.signals import worker_ready

logger = logging.getLogger('django.channels')

resized = Signal(providing_args=['name', 'width'])


def on_ready(sender, **kwargs):
    logger.info('worker is ready')


worker_ready.connect(on_ready)
