"""The short form of the conformance suite, on each kind of server; ``scripts/conformance`` plays the whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.processes import ROOT, ServerProcess

from .conformance import tables
from .conformance.cases import cases
from .conformance.differences import ENDINGS, KINDS, SHORT, TOLD
from .conformance.playing import PATHS, changes, leave, outcomes
from .starting import serving

CASES = cases(whole=False)

#: Seconds that a case may take on an idle machine.
SECONDS = 20.0


@pytest.fixture(scope="module", params=SHORT)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of server."""
    return str(request.param)


@pytest.fixture(scope="module")
def echoing(kind: str) -> Iterator[ServerProcess]:
    """A server of this kind with the application of the suite."""
    with serving(KINDS[kind].command, "conformance.app", *KINDS[kind].arguments) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_conformance(echoing: ServerProcess, kind: str, path: str) -> None:
    """A server does what the suite expects, but for what is known of it, and then serves the next client."""
    found = outcomes(echoing, path, CASES, SECONDS)
    assert not changes(kind, CASES, found, SECONDS)


@pytest.mark.slow
async def test_what_a_disconnect_consumer_is_told(echoing: ServerProcess, kind: str) -> None:
    """6.11: the code that the server reports, None for 1005, once for each socket."""
    told = []
    async with connect(f"ws://127.0.0.1:{echoing.port}/watch/") as watcher:
        for data in ENDINGS.values():
            await leave(echoing.port, "/told/", data)
            told.append(await watcher.recv())
    if not KINDS[kind].listed:
        pytest.skip(f"{kind} told {told}; the list is for {KINDS[kind].versions}")
    assert told == [str(code) for code in TOLD[kind]]


@pytest.mark.slow
def test_nothing_is_logged(echoing: ServerProcess) -> None:
    """Whatever clients send, the library has nothing to warn of; some servers print a traceback of their own."""
    for line in echoing.output.splitlines():
        assert f'File "{ROOT}/routechan' not in line, echoing.output
        assert "The server refused an event" not in line
        assert "Error in consumer" not in line


def test_the_numbers() -> None:
    """Each case has a number of its own, and each server the codes that it tells."""
    numbers = [case.id for case in CASES]
    assert len(set(numbers)) == len(numbers)
    assert list(TOLD) == list(KINDS)


def test_the_docs() -> None:
    """docs/server.rst has what ``scripts/conformance --tables`` prints."""
    text = (ROOT / "docs" / "server.rst").read_text()
    assert tables.differences() in text
    assert tables.told() in text
    assert tables.versions() in " ".join(text.split())
