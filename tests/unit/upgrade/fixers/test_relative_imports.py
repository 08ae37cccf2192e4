"""The fixer ``relative_imports``."""

from .cases import Case, test_changes, test_keeps

__all__ = ["test_changes", "test_keeps"]

PACKAGE = {
    "app/__init__.py": "",
    "app/models.py": "class A:\n    pass\n",
    "app/sub/__init__.py": "",
    "app/sub/x.py": "y = 1\n",
    "app/celery.py": "from celery import Celery\napp = Celery()\n",
}

CHANGES = [
    Case("from models import A\n", "from .models import A\n", others=PACKAGE),
    Case("import models\nmodels.A\n", "from . import models\nmodels.A\n", others=PACKAGE),
    Case(
        "import models as m\nfrom sub.x import y\nm.A\n",
        "from . import models as m\nfrom .sub.x import y\nm.A\n",
        others=PACKAGE,
    ),
]

KEEPS = [
    Case("from .models import A\nfrom app.models import A\n", others=PACKAGE),
    Case("from celery import Celery, shared_task\nimport celery\ncelery.task\n", others=PACKAGE),
    Case("from models import B\nimport models\n", others=PACKAGE),
    Case("from models import A\n", others={**PACKAGE, "models.py": ""}),
    Case("from __future__ import absolute_import\nfrom models import A\n", others=PACKAGE),
    Case("from models import A\n", others={"app/models.py": "class A: pass\n"}),
    Case("from models import A\n", others={**PACKAGE, "app/manage.py": ""}),
    Case("from signal import A\n", others={**PACKAGE, "app/signal.py": "A = 1\n"}),
    Case("try:\n    from models import A\nexcept ImportError:\n    A = None\n", others=PACKAGE),
]
