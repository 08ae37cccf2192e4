"""``python -m routechan_django.alias``: an unchanged 1.x project, not a file of which knows of us."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import free_port
from tests.unit.django.alias.running import run, server, write_files

from .projects import MANAGE, new_code_answers, said

PROJECT = {
    "manage.py": MANAGE,
    "project/__init__.py": "",
    "project/settings.py": """
        SECRET_KEY = "tests only"
        DEBUG = True
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.auth", "channels"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
        ROOT_URLCONF = "project.urls"
        CHANNEL_LAYERS = {
            "default": {"BACKEND": "asgiref.inmemory.ChannelLayer", "ROUTING": "project.routing.channel_routing"},
        }
    """,
    "project/urls.py": "urlpatterns = []",
    "project/asgi.py": """
        import os
        from channels.asgi import get_channel_layer

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
        channel_layer = get_channel_layer()
    """,
    "project/routing.py": """
        from channels.routing import route
        from project.consumers import ws_connect, ws_message

        channel_routing = [route("websocket.connect", ws_connect), route("websocket.receive", ws_message)]
    """,
    "project/consumers.py": """
        from channels import Channel
        from channels.sessions import enforce_ordering

        @enforce_ordering
        def ws_connect(message):
            message.reply_channel.send({"accept": True})

        @enforce_ordering
        def ws_message(message):
            Channel(message.reply_channel.name).send({"text": "WORD " + message.content["text"]})
    """,
    "project/tests.py": """
        from channels.test import ChannelTestCase, WSClient

        class EchoTests(ChannelTestCase):
            def test_echo(self):
                client = WSClient(ordered=True)
                client.send_and_consume("websocket.connect", path="/")
                client.send_and_consume("websocket.receive", path="/", text={"n": 1})
                self.assertIn("WORD", client.receive(json=False))
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_files(tmp_path, PROJECT)
    return tmp_path


@pytest.mark.slow
def test_an_asgi_module_of_1x_is_served(project: Path) -> None:
    """UE-01, LM-13: ``project.asgi:channel_layer`` is an ASGI application, which uvicorn serves."""
    assert run(project, ["-m", "routechan_django.alias", "manage.py", "migrate", "-v0"]).returncode == 0
    port = free_port()
    with server(project, ["-m", "uvicorn", "project.asgi:channel_layer", "--port", str(port)], port):
        assert said(port, "hello") == "WORD hello"


@pytest.mark.slow
def test_runserver_and_its_reloader(project: Path) -> None:
    """``manage.py runserver``: what the reloader starts has the old names too, after a change as well."""
    assert run(project, ["-m", "routechan_django.alias", "manage.py", "migrate", "-v0"]).returncode == 0
    port = free_port()
    with server(project, ["manage.py", "runserver", f"127.0.0.1:{port}"], port) as process:
        assert said(port, "hello") == "WORD hello"
        new = {"project/consumers.py": PROJECT["project/consumers.py"].replace("WORD", "NEW")}
        answers = new_code_answers(port, "/", "WORD", "NEW", lambda: write_files(project, new))
        process.wait_until(answers, "the new code answers")
        assert "WebSocket HANDSHAKING / [127.0.0.1:" in process.output
        assert "WebSocket CONNECT / [127.0.0.1:" in process.output


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--workers", "2"], ["--reload"]], ids=" ".join)
def test_a_server_with_processes_of_its_own(project: Path, options: list[str]) -> None:
    """What uvicorn spawns has the old names too: several workers, and the process that its reloader starts."""
    assert run(project, ["-m", "routechan_django.alias", "manage.py", "migrate", "-v0"]).returncode == 0
    port = free_port()
    arguments = ["-m", "uvicorn", "project.asgi:channel_layer", "--port", str(port), *options]
    with server(project, arguments, port) as process:
        process.wait_until(lambda: "Application startup complete" in process.output, "a worker has started")
        assert said(port, "hello") == "WORD hello"


START_METHODS = """
    import multiprocessing, sys

    def say(queue):
        from channels import Group
        queue.put(Group.__module__)

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        queue = context.Queue()
        process = context.Process(target=say, args=(queue,))
        process.start()
        print(queue.get(timeout=20))
        process.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_of_a_script(project: Path, method: str) -> None:
    """However a script starts its processes, they have the old names, and its own functions."""
    write_files(project, {"start.py": START_METHODS})
    done = run(project, ["-m", "routechan_django.alias", "start.py", method])
    assert done.stdout.strip() == "channels.channel", done.stderr


@pytest.mark.slow
def test_the_tests_of_a_project(project: Path) -> None:
    """``manage.py test`` runs ``channels.test`` cases."""
    done = run(project, ["-m", "routechan_django.alias", "manage.py", "test"])
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test" in done.stderr


def test_arguments(project: Path) -> None:
    """Without a script it says how it is used; a script sees its own arguments, and its folder comes first."""
    assert run(project, ["-m", "routechan_django.alias"]).stderr.startswith("usage: python -m routechan_django.alias")
    write_files(project, {"scripts/say.py": "import sys, channels; print(sys.argv, sys.path[0], __name__)"})
    done = run(project, ["-m", "routechan_django.alias", "scripts/say.py", "one", "-m"])
    assert done.stdout.strip() == f"['scripts/say.py', 'one', '-m'] {project / 'scripts'} __main__"
