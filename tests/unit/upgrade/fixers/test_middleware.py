"""The fixer ``middleware``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("MIDDLEWARE_CLASSES = (\n    'a',\n)\n", "MIDDLEWARE = (\n    'a',\n)\n"),
    ("MIDDLEWARE_CLASSES += ['a']\n", "MIDDLEWARE += ['a']\n"),
    ("settings.configure(MIDDLEWARE_CLASSES=[])\n", "settings.configure(MIDDLEWARE=[])\n"),
    ("x = settings.MIDDLEWARE_CLASSES\n", "x = settings.MIDDLEWARE\n"),
    ("M = ['a', 'django.contrib.auth.middleware.SessionAuthenticationMiddleware']\n", "M = ['a']\n"),
    Case(
        "import os\n\n\nclass A(object):\n    def process_request(self, request): pass\n",
        "import os\nfrom django.utils.deprecation import MiddlewareMixin\n\n\nclass A(MiddlewareMixin):\n"
        "    def process_request(self, request): pass\n",
        "app/middleware.py",
    ),
]

KEEPS = [
    "class ProxyMiddleware(object):\n    def process_request(self, request, spider): pass\n",
    "MIDDLEWARE = ['a']\n",
    "class AMiddleware(MiddlewareMixin):\n    def process_request(self, request): pass\n",
    "class AMiddleware:\n    def __init__(self, get_response): pass\n    def __call__(self, request): pass\n",
    "class Spider(object):\n    def process_request(self, request): pass\n",
]

TELLS = [
    ("MIDDLEWARE = []\nMIDDLEWARE_CLASSES = []\n", "2: MIDDLEWARE_CLASSES is read no more"),
    (
        "class AMiddleware(object):\n    def __init__(self): pass\n    def process_request(self, request): pass\n",
        "give its __init__ get_response",
    ),
]
