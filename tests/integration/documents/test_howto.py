"""The how-to guides, each in the project of the tutorial: what a page says is done, and what that does is looked at."""

from __future__ import annotations

import re
import shutil
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.documents import HOWTO, TUTORIAL, all_blocks
from tests.integration.browser.conftest import FLAGS, Windows, expect
from tests.redis_servers import SingleServer, shared

from .reader import Reader
from .test_tutorial import log_in

HERE = Path(__file__).parent
PAGES = {page.stem: page for page in HOWTO}

#: Commands of the tutorial that make the project and its database.
MAKES = re.compile(r"django-admin|python manage\.py (startapp|makemigrations|migrate|createsuperuser)")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tutorial leaves before its last part."""
    folder = tmp_path_factory.mktemp("begun")
    with Reader(folder) as reader:
        for block in (block for page in TUTORIAL[:3] for block in all_blocks(page)):
            if block.file:
                reader.write(block.file, block.code)
            elif block.language == "shell":
                for command in filter(MAKES.match, block.code.splitlines()):
                    reader.type(command)
        shell(reader, "Room.objects.create(slug='lobby', title='Lobby')")
    return folder


def shell(reader: Reader, code: str) -> str:
    """What code that uses the models of the tutorial prints."""
    return reader.run(f'python manage.py shell -c "from rooms.models import Line, Room; {code}"')


@pytest.fixture
def reader(request: pytest.FixtureRequest, begun: Path, tmp_path: Path) -> Iterator[Reader]:
    """Somebody who has read the tutorial. The Redis is shared, under a prefix of the test."""
    folder = shutil.copytree(begun, tmp_path / "site")
    redis = shared(request.config, SingleServer)
    with Reader(folder, **{"6379": str(redis.port)}) as reading:
        yield reading


@pytest.mark.parametrize("name", ["users", "orm", "testing"])
def test_the_commands_of_the_page_pass(reader: Reader, name: str) -> None:
    """Where a page has tests, or needs none, its own commands say that its code does what it says."""
    reader.read(PAGES[name])
    reader.run("python manage.py check --fail-level WARNING")


@pytest.mark.parametrize("name", ["notifications", "faq"])
def test_a_reader_tries_the_page(reader: Reader, name: str) -> None:
    """The page's code passes the tests of somebody else."""
    reader.read(PAGES[name])
    reader.write("rooms/test_scenario.py", (HERE / "scenarios" / f"{name}.py").read_text())
    reader.run("python manage.py test rooms.test_scenario")


@pytest.mark.parametrize(("program", "port"), {"uvicorn": "--port", "gunicorn": "-b :", "daphne": "-p"}.items())
def test_each_server_starts(reader: Reader, program: str, port: str) -> None:
    """The page's command for a server, with a port, serves pages and sockets."""
    pytest.importorskip(program)
    page = PAGES["servers"]
    reader.read(page)
    [command] = re.findall(rf"^    ({program} .*)$", page.read_text(), re.MULTILINE)
    reader.type(f"{command} {port}{'' if port.endswith(':') else ' '}{reader.ports['8000']}")
    assert urllib.request.urlopen(f"{reader.url()}/accounts/login/").status == 200
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{reader.url().replace('http', 'ws')}/rooms/lobby/", proxy=None)
    assert refused.value.response.status_code == 403


def test_one_redis(reader: Reader) -> None:
    """``top`` finds the layer of the site."""
    reader.read(PAGES["one-redis"])


def test_debugging(reader: Reader) -> None:
    """The commands run on a layer in Redis, and log lines have their fields, with or without a message."""
    settings = next(block for block in all_blocks(TUTORIAL[3]) if block.file == "project/settings.py")
    reader.write(settings.file, settings.code.replace("6379", reader.replaced["6379"]))
    reader.read(PAGES["debugging"])
    log = "log = logging.getLogger('routechan').error"
    extra = "extra=dict(consumer='rooms.consumers.ws_connect', message_id='a#0')"
    logged = shell(reader, f"import logging; {log}; log('x'); log('y', {extra})")
    assert "ERROR x [None None]\nERROR y [rooms.consumers.ws_connect a#0]\n" in logged


@pytest.mark.browser
def test_playwright(reader: Reader, windows: Windows) -> None:
    """The test in a browser passes, in the browser that there is."""
    launch = f"chromium.launch(executable_path={shutil.which('chromium')!r}, args={FLAGS!r})"
    reader.written = lambda code: code.replace("chromium.launch()", launch)
    reader.read(PAGES["playwright"])


@pytest.mark.browser
def test_progress(reader: Reader, windows: Windows) -> None:
    """The page shows how far its job is, and a generator tells each of its steps."""
    reader.read(PAGES["progress"])
    reader.write("rooms/templates/rooms/index.html", '{% include "rooms/start.html" %}', append=True)
    shell(reader, "[Line.objects.create(room=Room.objects.get(), author_id=1, text='ab') for _ in range(5)]")
    reader.type("python manage.py runserver")
    page = log_in(windows, reader.url(), "ann")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    page.get_by_role("button", name="Count the letters").click()
    expect(page.locator("#result")).to_have_text("10 letters")
    page.reload()
    expect(page.locator("#result")).to_have_text("10 letters")
    assert frames[-1] == '{"percent": 100, "letters": 10}'
    counted = page.evaluate(
        """() => new Promise((resolve) => {
            const socket = new WebSocket(`ws://${location.host}/countdown/`), seen = [];
            socket.onopen = () => socket.send("go");
            socket.onmessage = ({data}) => { if (seen.push(JSON.parse(data).percent) === 11) resolve(seen); };
        })"""
    )
    assert counted == list(range(0, 101, 10))
    windows.problems = [problem for problem in windows.problems if "404 (Not Found)" not in problem]


@pytest.mark.browser
def test_sending_from_outside(reader: Reader, windows: Windows) -> None:
    """A command, a thread, a coroutine and a function reach a page; a task of Celery too, where that is installed."""
    reader.read(PAGES["celery"])
    reader.type("python manage.py runserver")
    page = log_in(windows, reader.url(), "ann")
    page.goto(f"{reader.url()}/rooms/lobby/")
    expect(page.locator("#state")).to_have_text("Connected")
    reader.run("python manage.py announce lobby 'We close at ten.'")
    expect(page.locator("#lines li")).to_have_text(["system: We close at ten."])
    calls = "announce_from_a_thread('lobby', 'By a thread.'); asyncio.run(aannounce('lobby', 'By a coroutine.'))"
    line = "add_line('lobby', User.objects.get(username='ben'), 'By a function.')"
    names = "from rooms.outside import *; from django.contrib.auth.models import User"
    shell(reader, f"import asyncio; {names}; {calls}; {line}")
    for said in ("system: By a thread.", "system: By a coroutine.", "ben: By a function."):
        expect(page.locator("#lines")).to_contain_text(said)
    if find_spec("celery"):
        reader.type("python -m celery -A project worker --concurrency 1")
        reader.run("""python -m celery -A project call rooms.tasks.announce_later --args '["lobby", "By a task."]'""")
        expect(page.locator("#lines")).to_contain_text("system: By a task.")
    windows.problems = [problem for problem in windows.problems if "404 (Not Found)" not in problem]
