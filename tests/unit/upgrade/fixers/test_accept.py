"""The fixer ``accept``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

ROUTE = {"p/routing.py": "r = [route('websocket.connect', ws_connect)]\n"}
NAMED = {"p/routing.py": "r = {'websocket.connect': 'app.code.ws_connect'}\n"}
CLASS = {"p/routing.py": "r = [route_class(Echo)]\n"}

CHANGES = [
    Case(
        "@channel_session\ndef ws_connect(message):\n    Group('a').add(message.reply_channel)\n",
        "@channel_session\ndef ws_connect(message):\n    message.reply_channel.send({'accept': True})\n"
        "    Group('a').add(message.reply_channel)\n",
        others=ROUTE,
    ),
    Case(
        'def ws_connect(m, room):\n    """Says \'no\'."""\n    x = "a", "b"\n',
        'def ws_connect(m, room):\n    """Says \'no\'."""\n'
        '    m.reply_channel.send({"accept": True})\n    x = "a", "b"\n',
        others=NAMED,
    ),
    Case(
        "class Echo(WebsocketConsumer):\n    def connect(self, message, **kwargs):\n        pass\n",
        "class Echo(WebsocketConsumer):\n    def connect(self, message, **kwargs):\n"
        '        message.reply_channel.send({"accept": True})\n',
        others=CLASS,
    ),
]

KEEPS = [
    Case("def ws_connect(message):\n    message.reply_channel.send({'text': 'hi'})\n", others=ROUTE),
    Case("def ws_connect(message):\n    raise DenyConnection()\n", others=ROUTE),
    Case("def ws_connect(message):\n    yield {'text': 'hi'}\n", others=ROUTE),
    Case("def other(message):\n    pass\n", others=ROUTE),
    Case(
        "class Echo(WebsocketConsumer):\n    def connect(self, message, **kwargs):\n        super().connect(message)\n",
        others=CLASS,
    ),
    Case("class Behind(WebsocketConsumer):\n    def connect(self, message, **kwargs):\n        pass\n"),
    Case(
        "def ws_connect(message):\n    helper(message)\n",
        others={**ROUTE, "app/helpers.py": "def helper(m):\n    m.reply_channel.send({'accept': True})\n"},
    ),
]

TELLS = [
    Case("def ws_connect(message):\n    helper(message)\n", "1: ws_connect: since Channels 1.0", others=ROUTE),
    Case("@own\ndef ws_connect(message):\n    pass\n", "see that a helper does", others=ROUTE),
    Case("def ws_connect(message): pass\n", "see that a helper does", others=ROUTE),
    Case(
        "def ws_connect(message):\n    pass\n",
        "see that a helper does",
        others={**ROUTE, "app/other.py": "x.send({'accept': True})\n"},
    ),
]
