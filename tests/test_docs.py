"""The documents say what is: their code runs, their settings, names and links exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
import redis
from docutils.core import publish_doctree
from docutils.nodes import row, table

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.unit.django.settings")
django.setup()

from routechan import Group  # noqa: E402
from routechan.asgi import ServerOptions  # noqa: E402
from routechan.asgi.options import LIMITS  # noqa: E402
from routechan.layers import DEFAULT_CHANNEL_LAYER, InMemoryChannelLayer, RedisChannelLayer, channel_layers  # noqa: E402
from routechan.layers.base import LONGEST_DELAY  # noqa: E402
from routechan.layers.redis import driver, engine, hosts, schema  # noqa: E402
from routechan.layers.redis.commands import script  # noqa: E402
from routechan.layers.redis.layer import OPTIONS  # noqa: E402
from routechan.layers.statistics import COUNTED  # noqa: E402
from routechan.upgrade import renames  # noqa: E402
from routechan_django import conf  # noqa: E402
from routechan_django.asgi import make_layer  # noqa: E402

from .documents import DOCUMENTS, PROJECTS, READMES, ROOT, all_blocks, blocks, needs_channels, needs_tasks  # noqa: E402
from .redis_servers import SingleServer, shared, until  # noqa: E402
from .unit.django.alias import inventory  # noqa: E402


@pytest.fixture(autouse=True)
def layer() -> Iterator[None]:
    """The default layer as the settings have it, whatever a document does to it."""
    previous = channel_layers.set(DEFAULT_CHANNEL_LAYER, None)
    channel_layers.configure(make_layer)
    yield
    channel_layers.set(DEFAULT_CHANNEL_LAYER, previous)


#: Where the documents say Redis is.
REDIS = "redis://localhost:6379"


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if path not in PROJECTS and blocks(path, "python")],
    ids=lambda path: path.name,
)
def test_code(document: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block of Python runs, with the names of those before it in the same document, and prints what it says.

    Layers in it are made: those of ``CHANNEL_LAYERS``, and one for each value of ``hosts``, which connects to nothing.
    """
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks(document, "python"):
        if needs_channels(block):
            pytest.importorskip("channels", minversion="4.0")
        if needs_tasks(block) and django.VERSION < (6, 0):
            pytest.skip("Django has tasks from 6.0 on; tests/unit/django/test_tasks.py runs this with it")
        code = block
        if REDIS in block:
            code = block.replace(REDIS, shared(request.config, SingleServer).url)
        names.pop("CHANNEL_LAYERS", None)
        exec(compile(code, str(document), "exec"), names)
        said = re.findall(r"print\(.*\)  # (.+)$", block, re.MULTILINE)
        printed = capsys.readouterr().out.splitlines()
        assert not said or len(said) == len(printed), block
        for expected, line in zip(said, printed, strict=False):
            assert re.fullmatch(".*".join(map(re.escape, expected.split("..."))), line), f"{line!r}, not {expected!r}"
        for alias, config in names.get("CHANNEL_LAYERS", {}).items():
            conf.make_backend(alias, config).close()
        for value in values_of("hosts", block):
            RedisChannelLayer(hosts=value).close()


@pytest.mark.parametrize("document", PROJECTS, ids=lambda path: path.name)
def test_projects(document: Path) -> None:
    """On the pages that build a project, which ``tests/integration/documents`` does, each block of Python is a file."""
    assert [block.code for block in all_blocks(document) if block.language == "python" and not block.file] == []


def values_of(name: str, block: str) -> list[Any]:
    """What a block assigns to ``name``, one after the other."""
    return [
        ast.literal_eval(statement.value)
        for statement in ast.parse(block).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
    ]


@pytest.mark.parametrize("document", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document: Path) -> None:
    """What a document links to in this repository exists, and has the section that is named."""
    targets = re.findall(r"<([^<>`\s]+)>`_|^\.\. (?:image|figure|include):: (\S+)", document.read_text(), re.MULTILINE)
    for target in ("".join(groups) for groups in targets):
        if "://" not in target:
            path, _, section = target.partition("#")
            found = document.parent / path if path else document
            assert found.exists(), target
            assert not section or section in sections(found), target


def sections(document: Path) -> set[str]:
    """The headings and the inline targets of a document, as links name them."""
    text = document.read_text()
    headings = [title for title, _ in re.findall(r"^(.+)\n([=~-])\2+$", text, re.MULTILINE)]
    targets = re.findall(r"_`([^`]+)`", text)
    return {re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") for title in headings + targets}


@pytest.mark.parametrize("document", [*READMES, ROOT / "CHANGELOG.rst"], ids=lambda path: str(path.relative_to(ROOT)))
def test_markup(document: Path) -> None:
    """Every document is valid reStructuredText."""
    said = io.StringIO()
    settings = {"report_level": 2, "halt_level": 5, "warning_stream": said, "syntax_highlight": "none"}
    publish_doctree(document.read_text(), source_path=str(document), settings_overrides=settings)
    assert said.getvalue() == ""


def test_the_index_has_every_page() -> None:
    """docs/index.rst, and the index of a folder, link to each page beside them or below."""
    for index in (ROOT / "docs").rglob("index.rst"):
        linked = set(re.findall(r"<([^<>`\s#]+)[^<>`\s]*>`_", index.read_text()))
        for page in sorted(index.parent.rglob("*.rst")):
            nearest = page.parent / "index.rst"
            if page != index and (page == nearest or nearest == index or not nearest.exists()):
                assert page.relative_to(index.parent).as_posix() in linked, f"{page} in {index}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths(document: Path) -> None:
    """A file of this repository that a document names in its text exists."""
    paths = re.findall(r"``((?:routechan|routechan_django|tests|docs|scripts)/[\w./-]+)``", document.read_text())
    places = [ROOT, ROOT / "routechan_django" / "static"]
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


SECURITY = ROOT / "SECURITY.md"

#: The pages that say of each promise which test holds it.
PROMISES = [ROOT / "docs" / name for name in ("threat-model.rst", "reliability.rst")]


@pytest.mark.parametrize("document", [SECURITY, *DOCUMENTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_named_tests(document: Path) -> None:
    """A test that a document names exists."""
    text = document.read_text()
    named = re.findall(r"``(tests/[\w/]+\.py)::(test_\w+)``", text)
    assert len(named) == text.count("::test_"), "each is written ``tests/file.py::test_name``, on one line"
    assert [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)] == []
    assert document not in PROMISES or len(named) > 50, "the pattern above finds them"


def functions(file: Path) -> set[str]:
    """The functions in a file of code, those of classes too."""
    nodes = ast.walk(ast.parse(file.read_text())) if file.exists() else ()
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def tables(document: Path) -> list[list[list[str]]]:
    """The tables of a document: rows of cells, the headings first."""
    found = publish_doctree(document.read_text(), settings_overrides={"report_level": 5}).findall(table)
    return [[[cell.astext() for cell in each] for each in one.findall(row)] for one in found]


@pytest.mark.parametrize("document", PROMISES, ids=lambda path: path.name)
def test_every_promise_has_a_test(document: Path) -> None:
    """Each row of a table with a column for tests names one."""
    promises = [cells for heading, *rest in tables(document) if heading[-1] == "Test" for cells in rest]
    assert [cells[0] for cells in promises if "::test_" not in cells[-1]] == []
    assert len(promises) > 20


def test_security_links() -> None:
    """SECURITY.md, which is no reStructuredText because hosts of repositories look for this name, links to files."""
    targets = re.findall(r"\]\(([^)]+)\)", SECURITY.read_text())
    assert len(targets) > 2
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_limits_that_are_off() -> None:
    """docs/threat-model.rst names the limits that a site has to set itself."""
    [names] = re.findall(r"Off until you set them: (.*?)\.", PROMISES[0].read_text(), re.DOTALL)
    off = {name.upper() for name in LIMITS if getattr(ServerOptions(), name) is None}
    assert set(re.findall(r"``(\w+)``", names)) == {"USER_SOCKETS", "CONSUMER_TIMEOUT", *off}


def test_figures() -> None:
    """The times and sizes in docs/reliability.rst are those of the code; what was measured is what other pages say."""
    options = inspect.signature(RedisChannelLayer).parameters
    by_heading = {heading[-1]: rest for heading, *rest in tables(PROMISES[1])}
    for _, value, place in by_heading["where"]:
        module, _, name = place.rpartition(".")
        if place.startswith("option "):
            actual = options[place.removeprefix("option ")].default
        else:
            actual = getattr(importlib.import_module(module), name)
        assert float(value.replace(",", "")) == actual, place
    hour = [cell for cells in by_heading["one minute,\nkill -9"] for cell in cells[1:3]]
    assert [cell for cell in hour if cell not in (ROOT / "docs" / "workers.rst").read_text()] == []
    assert "1,503,465" in hour


def test_the_glossary_is_in_order() -> None:
    """docs/glossary.rst is alphabetical, and says of each word which module it lives in."""
    entries = re.findall(r"^_`(.+)`\n((?: {4}.*\n)+)", (ROOT / "docs" / "glossary.rst").read_text(), re.MULTILINE)
    words = [word for word, _ in entries]
    assert words == sorted(words)
    assert [word for word, text in entries if not re.search(r"``routechan(_django)?/[\w/]+\.py``", text)] == []
    assert len(words) > 50, "the pattern above finds them"


def test_the_differences_begin_with_those_that_bite() -> None:
    """Twenty rows, each of which is found in full further down."""
    text = (ROOT / "docs" / "differences.rst").read_text()
    _, first, rest = re.split(r"^   :widths: .*\n", text, maxsplit=2, flags=re.MULTILINE)
    cells = [re.findall(r"^   \* - (.+)$", part, re.MULTILINE) for part in (first, rest)]
    assert cells[0][0] == "Where"
    assert len(cells[0]) == 1 + 20
    assert set(cells[0]) <= set(cells[1])


def test_every_setting_is_documented() -> None:
    """docs/settings.rst has each key of ROUTECHAN and of an entry of CHANNEL_LAYERS, and no other."""
    text = (ROOT / "docs" / "settings.rst").read_text()
    for key in (*conf.SERVER_KEYS, conf.THREADS, conf.ROUTING, *conf.LAYER_KEYS):
        assert f"``{key}``" in text, key


def test_every_check_is_documented() -> None:
    """docs/settings.rst has each id that ``manage.py check`` may print, and no other."""
    ids = r"routechan\.[EW]\d{3}"
    text = (ROOT / "docs" / "settings.rst").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "routechan_django").rglob("*.py"))
    assert set(re.findall(ids, text)) == set(re.findall(rf'id="({ids})"', sources))


def test_every_option_is_documented() -> None:
    """docs/server.rst names each option of the server face."""
    text = (ROOT / "docs" / "server.rst").read_text()
    for option in ServerOptions.__dataclass_fields__:
        assert f"``{option}``" in text, option


LAYERS = (ROOT / "docs" / "layers.rst").read_text()


@pytest.mark.parametrize("layer_class", [InMemoryChannelLayer, RedisChannelLayer])
def test_every_option_of_a_layer_is_documented(layer_class: type) -> None:
    """docs/layers.rst has a row for each option, with its default."""
    parameters = dict(inspect.signature(layer_class).parameters)
    for name in ("clock", "unknown"):  # for tests; what is refused
        parameters.pop(name, None)
    for name, parameter in parameters.items():
        assert re.search(rf"^``{name}`` +{re.escape(str(parameter.default))} ", LAYERS, re.MULTILINE), name
    assert layer_class is InMemoryChannelLayer or set(parameters) == set(OPTIONS)


def test_what_older_layers_had_is_documented() -> None:
    """docs/layers.rst has each option that is refused with a reason, and each BACKEND that is read as ours."""
    for name in (*hosts.GONE, *conf.OLD_BACKENDS, *hosts._SETTLED.keys() - {"is_master"}):
        assert f"``{name}``" in LAYERS, name


def test_every_key_is_documented() -> None:
    """docs/layers.rst has the keys in Redis that the module ``keys`` has."""
    documented = set(re.findall(r"^``(<prefix>:[^`]+)`` +[a-z]+ ", LAYERS, re.MULTILINE))
    described = {line.split()[0].rstrip(",") for line in (schema.__doc__ or "").splitlines() if "<prefix>:" in line}
    assert documented == described | {"<prefix>:statistics:{statistics}:<queue>"}
    assert f"one of the {len(schema.HASH_TAGS)}" in LAYERS


def test_every_count_is_documented() -> None:
    """docs/layers.rst has what statistics tell."""
    layer = InMemoryChannelLayer()
    for name in {*COUNTED, *layer.sync.global_statistics(), *layer.sync.channel_statistics("a")}:
        assert f"``{name}``" in LAYERS, name


def test_numbers_in_the_text() -> None:
    """docs/layers.rst says of limits and times what they are."""
    for number in (
        f"{engine.MAILBOX_CAPACITY:,} messages",
        f"up to {LONGEST_DELAY // 86400} days",
        f"more than {driver.WAITING:,} operations waiting",
    ):
        assert number in LAYERS, number
    assert script.PATIENCE == 10, "the text says ten seconds"
    for mailbox in engine.MAILBOXES:
        assert f"``{mailbox}``" in LAYERS, mailbox


#: A block of the commands that an ACL has to allow.
COMMANDS = re.search(r"for an ACL.*?\n\n\.\. code-block:: text\n\n(.*?)\n\n\S", LAYERS, re.DOTALL)


def test_every_command_is_documented() -> None:
    """docs/layers.rst lists each command the layer sends."""
    assert COMMANDS is not None
    sources = "\n".join(path.read_text() for path in (ROOT / "routechan" / "layers" / "redis").rglob("*.py"))
    sent = set(re.findall(r"""\(\(?"([A-Z]{3,})",?[ )]""", sources))
    assert sent <= set(re.findall(r"[A-Z]{3,}", COMMANDS[1])), "a command is missing"
    assert {"RPUSH", "BLMPOP", "SCAN", "TIME"} <= sent, "the pattern above finds them"


async def test_the_documented_commands_suffice(request: pytest.FixtureRequest) -> None:
    """A user of Redis who may use what docs/layers.rst lists, and nothing else, can use the layer."""
    assert COMMANDS is not None
    allowed = [name for name in re.findall(r"[A-Z]{3,}", COMMANDS[1]) if name not in ("CLUSTER", "ASKING", "USAGE")]
    server = shared(request.config, SingleServer)
    administrator: redis.Redis = server.client()
    rules = {"keys": ["documents*"], "commands": [f"+{name}" for name in allowed]}
    administrator.acl_setuser("documents", enabled=True, passwords=["+secret"], reset=True, **rules)
    url = server.url.replace("redis://", "redis://documents:secret@")
    kept = {"chat": {"size": 5, "seconds": 60}}
    here, there = (RedisChannelLayer(hosts=[url], prefix="documents", capacity=1, history=kept) for _ in range(2))
    try:
        name = await here.new_channel()
        until(lambda: administrator.zscore("documents:leases:{leases}", here.process) is not None, "it has its lease")
        await there.group_add("group", name)
        await there.group_send("group", {"by": "group"})
        assert await here.receive(name) == {"by": "group"}
        await there.group_add("chat", name)
        await there.group_send("chat", {"by": "history", "data": b"x" * 50_000})
        assert (await here.receive(name))["by"] == "history"
        position = (await there.group_history("chat"))[0].position
        assert await there.group_catch_up("chat", name, since=position) is True
        await Group("room", channel_layer=there).aadd(name, who={"id": 7})
        assert await here.group_present("room") == [{"id": 7}]
        await there.group_discard("room", name)
        await there.send("plain", {"by": "delay"}, delay=0.01)
        assert await here.receive("plain") == {"by": "delay"}
        there.sync.send("full", {})
        with pytest.raises(here.ChannelFull):
            there.sync.send("full", {})
        assert there.sync.receive(["full"]) == ("full", {})
        there.sync.send("large", {"data": b"x" * 100_000})
        queue = f"websocket.send.documents.{here.process}!"
        here.attach(queue, lambda channels, content: None)
        here.last_will(queue + "a", "websocket.disconnect", {})
        here.forget(queue + "a")
        assert await there.group_channels("group") == [name]
        assert await there.group_count("group") == 1
        await there.group_discard("group", name)
        assert (await here.global_statistics())["messages_count"] > 0
        assert (await here.channel_statistics("plain"))["messages_pending"] == 0
        await here.flush()
    finally:
        here.close()
        there.close()
        refused = [entry for entry in administrator.acl_log() if entry["username"] == "documents"]
        administrator.acl_deluser("documents")
    assert [entry["object"] for entry in refused if entry["object"] != "client|setinfo"] == []


def test_scripts_are_documented() -> None:
    """The README's two commands exist and can be run."""
    text = (ROOT / "README.rst").read_text()
    for path in ("scripts/demo", "scripts/test"):
        assert path in text
        assert os.access(ROOT / path, os.X_OK)


@pytest.mark.parametrize(("module", "names"), inventory.PUBLIC.items(), ids=inventory.PUBLIC)
def test_the_reference_has_every_name_of_1x(module: str, names: str) -> None:
    """Section 13 of the consumer API: whoever looks one up finds what it is here."""
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.rst"))
    for name in names.split():
        assert re.search(rf"\b{name}\b", reference), f"{module}.{name}"


def test_every_old_name_has_a_new_one() -> None:
    """The page for porters has each module and name that the alias and ``upgrade`` know."""
    text = (ROOT / "docs" / "porting.rst").read_text()
    for old, new in {**renames.MODULES, **renames.PARTIAL}.items():
        assert f"   * - ``{old}``\n     - ``{new}``" in text, old
    for names in renames.ELSEWHERE.values():
        for name, new in names.items():
            assert re.search(rf"``{name}``[^;]*: ``{new}``", text), name
    for name, new in renames.PACKAGE.items():
        assert re.search(rf"from channels import [^`]*\b{name}\b[^`]*``\n     - ``{new}``", text), name
    for backend, new in renames.OLD_BACKENDS.items():
        assert backend.startswith("channels") or f'"BACKEND": "{backend}"``\n     - ``"{new}"' in text, backend
