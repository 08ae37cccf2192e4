"""A site below a path: routes match as Django's URLs do, whatever server and proxy make of the path."""

from __future__ import annotations

from typing import Any

import pytest

from routechan import Message, route
from routechan.layers import SyncChannelLayer
from tests.waiting import until

from ..relay.helpers import serving, working
from .clients import Client, Open, Request
from .conftest import Serve
from .consumers import HTTP, SOCKET, Log

#: The scope's path and root path, of servers whose path includes the root path and of others, behind proxies that pass
#: it on and others.
SCOPES = {
    "uvicorn, stripped": ("/app/ws/", "/app"),
    "uvicorn, kept": ("/app/app/ws/", "/app"),
    "daphne, hypercorn, stripped": ("/ws/", "/app"),
    "daphne, hypercorn, kept": ("/app/ws/", "/app"),
    "a slash at its end": ("/app/ws/", "/app/"),
    "uvicorn, a slash at its end": ("/app//ws/", "/app/"),
}

each_scope = pytest.mark.parametrize(("path", "root_path"), SCOPES.values(), ids=SCOPES)


@each_scope
async def test_a_socket(serve: Serve, path: str, root_path: str) -> None:
    """All of its events match the route, and say the path below the root path."""
    log = Log({"accept": True})
    async with Open(await serve(log.routing(path="^/ws/$")), path, root_path=root_path) as client:
        client.send("hello")
    assert [entry["path"] for entry in log.seen] == ["/ws/"] * 3
    assert log.seen[0]["root_path"] == "/app"


async def test_a_root_path_of_one_slash(serve: Serve) -> None:
    """``uvicorn --root-path /``: it stands before every path, and is none."""
    log = Log({"accept": True})
    async with Open(await serve(log.routing(path="^/ws/$")), "//ws/", root_path="/"):
        pass
    assert (log.seen[0]["path"], log.seen[0]["root_path"]) == ("/ws/", "")


@each_scope
async def test_a_request(serve: Serve, path: str, root_path: str) -> None:
    """The same for a request and its disconnect."""
    log = Log({"status": 200})
    async with Request(await serve(log.routing(path="^/ws/$")), path, root_path=root_path) as request:
        assert (await request.event())["status"] == 200
        await request.over()
    assert [(entry["path"], entry.get("root_path")) for entry in log.seen] == [("/ws/", "/app"), ("/ws/", None)]


@pytest.mark.parametrize("label", [label for label in SCOPES if label != "uvicorn, kept"])
async def test_through_a_worker(default_layer: SyncChannelLayer, label: str) -> None:
    """The same where a worker has the routes."""
    path, root_path = SCOPES[label]
    log, requests = Log({"accept": True}), Log({"status": 200})
    routing = [route(SOCKET, log.consume, path="^/ws/$"), route(HTTP, requests.consume, path="^/ws/$")]
    async with working(default_layer, *routing), serving(default_layer, relay_http=True) as application:
        async with Open(application, path, root_path=root_path) as client:
            client.send("hello")
        await until(lambda: len(log.seen) == 3)
        async with Request(application, path, root_path=root_path) as request:
            assert (await request.event())["status"] == 200
            await request.over()
    assert [entry["path"] for entry in log.seen] == ["/ws/"] * 3
    assert (log.seen[0]["root_path"], requests.seen[0]["root_path"]) == ("/app", "/app")
    assert requests.seen[0]["path"] == "/ws/"


@pytest.mark.parametrize(("path", "root_path"), [("/ws/", ""), ("/app/ws/", ""), ("/app/ws/", "/app")])
async def test_a_root_path_of_the_options(serve: Serve, path: str, root_path: str) -> None:
    """``FORCE_SCRIPT_NAME``, which no server knows of."""
    log = Log({"accept": True})
    application = await serve(log.routing(path="^/ws/$"), root_path="/app")
    async with Open(application, path, root_path=root_path):
        pass
    assert (log.seen[0]["path"], log.seen[0]["root_path"]) == ("/ws/", "/app")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [("^/application/$", "/application/"), ("^/app/ws/$", "/app/app/ws/"), ("^/$", "/app"), ("^/$", "/app/")],
)
async def test_paths_that_are_easily_taken_for_others(serve: Serve, pattern: str, path: str) -> None:
    """The same letters are no prefix; a site may have a path of its own that is called like the root path."""
    async with Open(await serve(Log({"accept": True}).routing(path=pattern)), path, root_path="/app"):
        pass


async def test_a_path_that_no_route_takes(serve: Serve) -> None:
    """It is refused below a root path too."""
    async with Client(await serve(Log({"accept": True}).routing(path="^/ws/$")), "/app/x/", root_path="/app") as client:
        await client.refused()


@pytest.mark.parametrize("path", ["/healthz", "/app/healthz"])
@pytest.mark.parametrize("options", [{"root_path": "/app"}, {}], ids=["of the options", "of the server"])
async def test_the_servers_own_pages(serve: Serve, path: str, options: dict[str, Any]) -> None:
    """They are below the root path, too, and not below a path that begins like it."""

    def answer(message: Message) -> None:
        message.reply_channel.send({"status": 299})

    application = await serve([route("http.request", answer)], health_path="/healthz", **options)
    scope = {} if options else {"root_path": "/app"}
    async with Request(application, path, **scope) as request:
        assert (await request.event())["status"] == 200
    async with Request(application, "/apphealthz", **scope) as request:
        assert (await request.event())["status"] == 299
