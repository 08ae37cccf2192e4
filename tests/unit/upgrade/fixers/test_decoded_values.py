"""The fixer ``decoded_values``."""

from .cases import test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

CHANGES = [
    ("p = message['path'].decode('ascii').strip('/')\n", "p = message['path'].strip('/')\n"),
    ('p = message.content["path"].decode()\n', 'p = message.content["path"]\n'),
    (
        "t = json.loads(message.content.get('text', '').decode('utf-8'))\n",
        "t = json.loads(message.content.get('text', ''))\n",
    ),
    ("p = self.message['path'].decode()\n", "p = self.message['path']\n"),
]

KEEPS = [
    "q = message['query_string'].decode()\n",
    "b = message['bytes'].decode()\n",
    "p = other['path'].decode()\n",
    "p = path.decode('ascii')\n",
    "p = message['path']\n",
    "p = message['text'].encode('utf-8')\n",
]
