"""The fixer ``commands``."""

from .cases import Case, test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

NEW = {"p/asgi.py": "application = 1\n"}
OLD = {"p/asgi.py": "channel_layer = 1\n"}

CHANGES = [
    Case(
        "web: daphne p.asgi:channel_layer --port $PORT --bind 0.0.0.0 -v2\n",
        "web: uvicorn p.asgi:application --port $PORT --host 0.0.0.0\n",
        "Procfile",
        NEW,
    ),
    Case(
        'command: bash -c "migrate && daphne -b 0.0.0.0 -p 8000 p.asgi:channel_layer"\n',
        'command: bash -c "migrate && uvicorn --host 0.0.0.0 --port 8000 p.asgi:channel_layer"\n',
        "docker-compose.yml",
        OLD,
    ),
    Case(
        'CMD ["daphne", "-b", "0.0.0.0", "p.asgi:channel_layer", "-v", "2"]\n',
        'CMD ["uvicorn", "--host", "0.0.0.0", "p.asgi:application"]\n',
        "Dockerfile",
        NEW,
    ),
    Case(
        "command=/e/bin/daphne -u /run/a.sock \\\n    --ping-interval=20 -v 1 \\\n    p.asgi:channel_layer\n",
        "command=/e/bin/uvicorn --uds /run/a.sock \\\n    --ws-ping-interval=20 \\\n    p.asgi:application\n",
        "deploy/supervisor.conf",
        NEW,
    ),
    Case(
        "ExecStart=/e/bin/daphne -p8001 --websocket_timeout -1 --proxy-headers p.asgi:channel_layer\n",
        "ExecStart=/e/bin/uvicorn --port 8001 --proxy-headers p.asgi:application\n",
        "daphne.service",
        NEW,
    ),
    Case("args = -b 0.0.0.0 p.asgi:channel_layer\n", "args = -b 0.0.0.0 p.asgi:application\n", "circus.ini", NEW),
    Case("worker: manage.py runworker --alias=b\n", "worker: manage.py runworker --layer=b\n", "Procfile"),
    Case(
        "#!/bin/sh\nexec daphne p.asgi:channel_layer\n",
        "#!/bin/sh\nexec uvicorn p.asgi:application\n",
        "bin/start",
        NEW,
    ),
]

WORKERS = {"p/settings.py": "L = {'CONSUMERS': 'workers'}\n"}

KEEPS = [
    Case("[program:daphne]\nuser=daphne\n# command=daphne\n", "", "supervisor.conf", NEW),
    Case("[program:daphne]\n# daphne p.asgi:channel_layer\n", "", "supervisor.conf", NEW),
    Case("worker: manage.py runworker --only-channels=a.*\n", "", "Procfile", WORKERS),
    Case("web: uvicorn p.asgi:channel_layer\n", "", "Procfile", OLD),
    Case("daphne p.asgi:channel_layer\n", "", "README.md", NEW),
    Case("stderr_logfile=/var/log/daphne.log\n", "", "supervisor.conf"),
    Case("image: daphne/daphne\n", "", "docker-compose.yml"),
]

TELLS = [
    Case("command:\n  - daphne\n  - q.asgi:channel_layer\n", "2: daphne in several lines", "docker-compose.yml"),
    Case("web: daphne -e ssl:443 q.asgi:channel_layer\n", "daphne -e: uvicorn has no such option", "Procfile"),
    Case("web: daphne --ws-protocol a q.asgi:channel_layer\n", "SUBPROTOCOLS", "Procfile"),
    Case("web: daphne --websocket_timeout 60 q.asgi:channel_layer\n", "no such limit here", "Procfile"),
    Case("web: daphne 'q.asgi:channel_layer' -b ::1\n", "with quoted words", "Procfile"),
    Case(
        "command: >\n  daphne -b 0.0.0.0\n  q.asgi:channel_layer\n", "2: daphne in several lines", "docker-compose.yml"
    ),
    Case("RUN pip install channels daphne\n", "install 'routechan[server]'", "Dockerfile"),
    Case("worker: manage.py runworker\n", 'write "CONSUMERS": "workers"', "Procfile"),
]
