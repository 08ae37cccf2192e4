"""The how-to guides, each in the project of the tutorial: what a page says is done, and what that does is looked at."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

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


def shell(reader: Reader, code: str) -> None:
    """Run code that uses the models of the tutorial."""
    reader.run(f'python manage.py shell -c "from rooms.models import Line, Room; {code}"')


@pytest.fixture
def reader(request: pytest.FixtureRequest, begun: Path, tmp_path: Path) -> Iterator[Reader]:
    """Somebody who has read the tutorial. The Redis is shared, under a prefix of the test."""
    folder = shutil.copytree(begun, tmp_path / "site")
    redis = shared(request.config, SingleServer)
    with Reader(folder, **{"6379": str(redis.port)}) as reading:
        yield reading


@pytest.mark.parametrize("name", ["users", "orm", "testing", "servers"])
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


@pytest.mark.parametrize("name", ["one-redis", "debugging"])
def test_the_commands_find_redis(reader: Reader, name: str) -> None:
    """``top`` and the others run on a layer in Redis."""
    settings = next(block for block in all_blocks(TUTORIAL[3]) if block.file == "project/settings.py")
    code = settings.code.replace("6379", reader.replaced["6379"])
    reader.write(settings.file, code)
    reader.read(PAGES[name])


@pytest.mark.browser
def test_playwright(reader: Reader, windows: Windows) -> None:
    """The test in a browser passes, in the browser that there is."""
    launch = f"chromium.launch(executable_path={shutil.which('chromium')!r}, args={FLAGS!r})"
    reader.written = lambda code: code.replace("chromium.launch()", launch)
    reader.read(PAGES["playwright"])


@pytest.mark.browser
def test_progress(reader: Reader, windows: Windows) -> None:
    """The page shows each step of the job, and a page that comes late shows its end."""
    reader.read(PAGES["progress"])
    reader.write("rooms/templates/rooms/index.html", '{% include "rooms/start.html" %}', append=True)
    shell(reader, "[Line.objects.create(room=Room.objects.get(), author_id=1, text='ab') for _ in range(5)]")
    reader.type("python manage.py runserver")
    page = log_in(windows, reader.url(), "ann")
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(str(data))))
    page.get_by_role("button", name="Count the letters").click()
    expect(page.locator("#result")).to_have_text("10 letters")
    assert frames[-1] == '{"percent": 100, "letters": 10}'
    windows.problems = [problem for problem in windows.problems if "404 (Not Found)" not in problem]


@pytest.mark.browser
def test_sending_from_outside(reader: Reader, windows: Windows) -> None:
    """A command reaches a page, and so does a task of Celery where that is installed."""
    reader.read(PAGES["celery"])
    reader.type("python manage.py runserver")
    page = log_in(windows, reader.url(), "ann")
    page.goto(f"{reader.url()}/rooms/lobby/")
    expect(page.locator("#state")).to_have_text("Connected")
    reader.run("python manage.py announce lobby 'We close at ten.'")
    expect(page.locator("#lines li")).to_have_text(["system: We close at ten."])
    if find_spec("celery"):
        reader.type("python -m celery -A project worker --concurrency 1")
        reader.run("""python -m celery -A project call rooms.tasks.announce_later --args '["lobby", "By a task."]'""")
        expect(page.locator("#lines")).to_contain_text("system: By a task.")
    windows.problems = [problem for problem in windows.problems if "404 (Not Found)" not in problem]
