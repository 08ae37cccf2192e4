"""Real Redis servers in the shapes ``hosts`` can name, each started once for these tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.processes import free_port

PATIENCE = 20.0
PASSWORD = "hidden"


@contextmanager
def redis_server(place: Path, *arguments: str, port: int, sentinel: bool = False) -> Iterator[int]:
    """A Redis server in the folder ``place`` that accepts connections on ``port`` of this machine."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    place.mkdir()
    (place / "redis.conf").write_text("\n".join(["bind 127.0.0.1", "save ''", f"dir {place}", *arguments]) + "\n")
    command = [program, str(place / "redis.conf"), *(["--sentinel"] if sentinel else [])]
    with (place / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            wait_until_open(port, process, place / "output")
            yield port
        finally:
            process.kill()
            process.wait()


def wait_until_open(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"redis-server does not answer on {port}: {output.read_text()}")
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder with a short name: the path of a unix socket has at most some 100 characters."""
    with tempfile.TemporaryDirectory(prefix="rt") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[int]:
    """The port of a server with a password, which also listens on ``folder / "socket"``."""
    port = free_port()
    arguments = (f"port {port}", f"requirepass {PASSWORD}", f"unixsocket {folder / 'socket'}")
    with redis_server(folder / "single", *arguments, port=port):
        yield port


@pytest.fixture(scope="session")
def sentinel(folder: Path, server: int) -> Iterator[int]:
    """The port of a Sentinel that knows ``server`` as ``mymaster``, and has a password itself."""
    port = free_port()
    arguments = (
        f"port {port}",
        "requirepass watch",
        f"sentinel monitor mymaster 127.0.0.1 {server} 1",
        f"sentinel auth-pass mymaster {PASSWORD}",
    )
    with redis_server(folder / "sentinel", *arguments, port=port, sentinel=True):
        yield port


@pytest.fixture(scope="session")
def tls(folder: Path) -> Iterator[int]:
    """The port of a server that speaks TLS only; ``folder / "certificate"`` is its own."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key", folder / "certificate"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    port = free_port()
    files = (f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {certificate}")
    with redis_server(folder / "tls", "port 0", f"tls-port {port}", *files, "tls-auth-clients no", port=port):
        yield port


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[list[int]]:
    """The ports of a cluster's two masters."""
    program = shutil.which("redis-cli")
    ports = [free_port(), free_port()]
    with ExitStack() as servers:
        for place, port in enumerate(ports):
            arguments = (
                f"port {port}",
                f"cluster-port {free_port()}",
                "cluster-enabled yes",
                "cluster-node-timeout 2000",
            )
            servers.enter_context(redis_server(folder / f"cluster{place}", *arguments, port=port))
        if program is None:
            pytest.skip("redis-cli is not installed")
        for port, slots in zip(ports, ("0 8191", "8192 16383"), strict=True):
            subprocess.run(
                [program, "-p", str(port), "cluster", "addslotsrange", *slots.split()], check=True, capture_output=True
            )
        bus = [line for line in (folder / "cluster1" / "redis.conf").read_text().splitlines() if "cluster-port" in line]
        meet = ["cluster", "meet", "127.0.0.1", str(ports[1]), bus[0].split()[1]]
        subprocess.run([program, "-p", str(ports[0]), *meet], check=True, capture_output=True)
        deadline = time.monotonic() + PATIENCE
        for port in ports:
            state = [program, "-p", str(port), "cluster", "info"]
            while b"cluster_state:ok" not in subprocess.run(state, check=True, capture_output=True).stdout:
                if time.monotonic() > deadline:
                    pytest.fail("the cluster does not come up")
                time.sleep(0.05)
        yield ports
