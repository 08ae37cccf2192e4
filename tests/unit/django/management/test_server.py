"""The development server: Daphne's class of 1.x over uvicorn, and its access log."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from routechan_django import conf
from routechan_django.application import build_application
from routechan_django.layer import ChannelLayerWrapper
from routechan_django.management import server as server_module
from routechan_django.management.server import Server, build_endpoint_description_strings
from tests.harness import WebSocket, get
from tests.processes import free_port

pytestmark = pytest.mark.usefixtures("no_command_line")


def test_endpoints() -> None:
    """CM-10: both ways; what is no endpoint is named."""
    for host in ("127.0.0.1", "::1"):
        (endpoint,) = build_endpoint_description_strings(host=host, port=8000)
        assert server_module._address(endpoint) == (host, 8000)
    with pytest.raises(ValueError, match="not 'unix:/tmp/socket'"):
        server_module._address("unix:/tmp/socket")


def test_the_server_itself(layer: ChannelLayerWrapper) -> None:
    """CM-09: made as code of 1.x made Daphne's: it takes its endpoint, and says so where it cannot."""
    port = free_port()
    server = Server(
        channel_layer=layer, endpoints=build_endpoint_description_strings("127.0.0.1", port), http_timeout=9
    )
    assert conf.server_options().http_timeout == 9
    server.listen()
    with pytest.raises(OSError, match="in use"):
        Server(layer, [f"tcp:port={port}:interface=127.0.0.1"]).listen()
    with socket.create_connection(("127.0.0.1", port)):
        pass
    server.close()


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [
        ({"host": "0.0.0.0", "port": 80}, ["tcp:port=80:interface=0.0.0.0"]),
        ({"host": "[::1]"}, [r"tcp:port=8000:interface=\:\:1"]),
        ({"port": "80"}, ["tcp:port=80:interface=127.0.0.1"]),
        ({"unix_socket": "/run/x", "file_descriptor": 3}, ["fd:fileno=3", "unix:/run/x"]),
        ({"endpoints": ["tcp:port=1"], "port": 2}, ["tcp:port=1", "tcp:port=2:interface=127.0.0.1"]),
        ({}, ["tcp:port=8000:interface=127.0.0.1"]),
    ],
)
def test_where_it_listens(given: dict[str, Any], endpoints: list[str]) -> None:
    """CM-09, 6.13: by ``host`` and ``port`` too, as management commands of 1.x made it."""
    assert Server(channel_layer=mock.Mock(), **given).endpoints == endpoints


def test_other_arguments_of_1x(layer: ChannelLayerWrapper) -> None:
    """6.12, 6.13: what has a meaning here is taken, what has none does no harm, and what would be missed is refused."""
    with mock.patch("uvicorn.Server"), mock.patch("uvicorn.Config") as config:
        Server(
            layer,
            host="127.0.0.1",
            port=free_port(),
            websocket_connect_timeout=7,
            websocket_timeout=-1,
            ping_interval=3,
            ping_timeout=4,
            force_sync=True,
            verbosity=0,
        ).run()
    assert conf.server_options().handshake_timeout == 7
    assert (config.call_args.kwargs["ws_ping_interval"], config.call_args.kwargs["ws_ping_timeout"]) == (3, 4)
    with pytest.raises(TypeError, match="no argument 'proxy_forwarded_address_header'"):
        Server(layer, proxy_forwarded_address_header="X-Forwarded-For")
    with pytest.raises(ValueError, match="websocket_timeout=60: sockets have no greatest age"):
        Server(layer, websocket_timeout=60)


def test_other_places_to_listen(tmp_path: Path) -> None:
    """6.13: a unix socket, and one that was inherited, accept connections."""
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        server = Server(mock.Mock(), unix_socket=path, file_descriptor=os.dup(inherited.fileno()))
        server.listen()
        for family, address in (socket.AF_UNIX, path), (socket.AF_INET, inherited.getsockname()):
            with socket.socket(family) as client:
                client.connect(address)
        server.close()


def test_an_application_for_the_server() -> None:
    """CM-09: ``application`` is what it serves in place of the layer."""
    application = mock.Mock()
    with mock.patch("uvicorn.Server"), mock.patch("uvicorn.Config") as config:
        server = Server(mock.Mock(), [f"tcp:port={free_port()}"], application=application)
        server.run()
    assert config.call_args.args == (application,)


async def test_actions_of_a_server(layer: ChannelLayerWrapper) -> None:
    """CM-13: what is told of a request, of a socket that is open, and of one that is refused."""
    told: list[tuple[str, str, dict[str, Any]]] = []
    served = server_module._AccessLog(build_application(layer), lambda *what: told.append(what))
    assert (await get(served, "/hello/"))[0] == 200
    protocol, action, details = told.pop()
    assert (protocol, action) == ("http", "complete")
    assert (details["method"], details["path"], details["status"]) == ("GET", "/hello/", 200)
    assert 0 <= details["time_taken"] < 10
    async with WebSocket(served, "/async/") as client:
        await client.accepted()
    async with WebSocket(served, "/no\n\x1bwhere/") as client:
        assert (await client.event())["type"] == "websocket.close"
    assert [(action, details["path"]) for _, action, details in told] == [
        ("connecting", "/async/"),
        ("connected", "/async/"),
        ("disconnected", "/async/"),
        ("connecting", "/no%0A%1Bwhere/"),
        ("rejected", "/no%0A%1Bwhere/"),
    ]


async def test_a_root_path() -> None:
    """CM-09, ST-08: FORCE_SCRIPT_NAME is the root path of each connection."""
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["root_path"])

    await server_module._with_root_path("/app", application)({"type": "http"}, mock.Mock(), mock.Mock())
    assert seen == ["/app"]
