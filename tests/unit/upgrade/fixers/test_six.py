"""The fixer ``six``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

R = {"requirements.txt": "six==1.10\n"}

CHANGES = [
    Case("from django.utils import six\nsix.PY2\n", "import six\nsix.PY2\n", others=R),
    Case("from django.utils.six.moves import urllib\nurllib\n", "from six.moves import urllib\nurllib\n", others=R),
    ("import six\n\nx = 1\n", "x = 1\n"),
    ("import os\nimport six\n\nx = os\n", "import os\n\nx = os\n"),
    ("from six import text_type\n", ""),
    Case("from six import PY2, text_type\nPY2\n", "from six import PY2\nPY2\n", others=R),
    Case(
        "from django.utils import six, timezone\nsix.PY2, timezone\n",
        "from django.utils import timezone\nimport six\nsix.PY2, timezone\n",
        others=R,
    ),
]

KEEPS = [
    Case("import six\nsix.PY2\n", others=R),
    "try:\n    import six\nexcept ImportError:\n    six = None\n",
    "from django.utils import timezone\n",
    Case("from six import PY2\n__all__ = ['PY2']\n", others=R),
    "import sixer\n",
]

TELLS = [("import six\nsix.PY2\n", "no requirements file has it")]
