"""
ASGI entrypoint file for the channel layer.
"""

import os
from channels.asgi import get_channel_layer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

channel_layer = get_channel_layer()
