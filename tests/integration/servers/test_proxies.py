"""Event streams behind the proxies of docs/deploy/proxies.rst: no event waits in one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from tests.processes import ServerProcess, free_port
from tests.waiting import wait_until

from .eventsource import EventSource

pytestmark = pytest.mark.slow

KINDS = ["uvicorn"]

#: The command of each proxy, and its configuration. Both have the timeouts that the page advises.
PROXIES = {
    "nginx": (
        "nginx -e stderr -p $folder -c $file",
        """
        daemon off;
        master_process off;
        pid $folder/pid;
        error_log stderr;
        events {}
        http {
            access_log off;
            client_body_temp_path $folder/body;
            proxy_temp_path $folder/proxy;
            fastcgi_temp_path $folder/fastcgi;
            uwsgi_temp_path $folder/uwsgi;
            scgi_temp_path $folder/scgi;
            server {
                listen 127.0.0.1:$port;
                location / {
                    proxy_pass http://127.0.0.1:$server;
                    proxy_http_version 1.1;
                    proxy_set_header Host $$http_host;
                    proxy_read_timeout 120s;
                    gzip on;
                    gzip_types text/event-stream;
                }
            }
        }
        """,
    ),
    "haproxy": (
        "haproxy -db -f $file",
        """
        defaults
            mode http
            timeout connect 5s
            timeout client 60s
            timeout server 60s
            option abortonclose
        frontend pages
            bind 127.0.0.1:$port
            default_backend sockets
        backend sockets
            server one 127.0.0.1:$server
        """,
    ),
}


@pytest.fixture(params=PROXIES)
def port(request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path) -> Iterator[int]:
    """Where a proxy in front of the server listens."""
    command, text = PROXIES[request.param]
    name = command.partition(" ")[0]
    program = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if program is None:
        pytest.skip(f"this test needs {name}: apt-get install {name}")
    port = free_port()
    values = {"folder": str(tmp_path), "file": str(tmp_path / "config"), "port": port, "server": server.port}
    (tmp_path / "config").write_text("\n".join(map(str.strip, Template(text).substitute(values).split("\n"))) + "\n")
    log = tmp_path / "log"
    with log.open("w") as output:
        arguments = [program, *Template(command).substitute(values).split()[1:]]
        process = subprocess.Popen(arguments, stdout=output, stderr=output)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, f"{name} answers")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    return ServerProcess([], port).answers()


def test_no_event_waits_in_a_proxy(server: ServerProcess, port: int) -> None:
    """Each event arrives while the response is open, small ones and large ones, and the close ends it."""
    with EventSource(port, "/echo/") as page:
        for text in ("a", "b" * 100_000, "c"):
            assert page.post(text.encode()) == 204
            assert page.hears() == ("message", text)
    with EventSource(port, "/close/") as page:
        assert page.post(b"4001") == 204
        assert page.hears() == ("close", "4001")
        assert page.response.read() == b""


def test_a_page_that_leaves_a_proxy(server: ServerProcess, port: int) -> None:
    """The proxy closes its connection too, so the disconnect consumer runs at once."""
    with EventSource(server.port, "/watch/") as watcher:
        with EventSource(port, "/watched/"):
            pass
        assert "1006" in watcher.hears()[1]
