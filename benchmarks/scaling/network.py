"""Hosts of one machine: network namespaces on a bridge."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from running import Host

#: Of RFC 2544, for benchmarks: nobody's network.
ADDRESS = "198.18.{number}.{host}"
NAMES = "rcscale"


class NoNetwork(Exception):
    """Namespaces cannot be made here; the message says why."""


class Network:
    """Hosts that reach each other, and this machine, over a bridge. Lifetime: a ``with`` block.

    Args:
        count: How many hosts.

    Raises:
        NoNetwork: If they cannot be made here.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        number = os.getpid() % 250
        self._bridge = f"{NAMES}{os.getpid()}"
        self._of = lambda host: ADDRESS.format(number=number, host=host)
        #: That of this machine on the bridge.
        self.outside = self._of(1)
        self.hosts: list[Host] = []

    def __enter__(self) -> Network:
        why = why_not()
        if why:
            raise NoNetwork(why)
        remove_left_behind()
        with ExitStack() as stack:
            stack.callback(remove, self._bridge)
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"{self.outside}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for number in range(self._count):
                self.hosts.append(self._host(number))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _host(self, number: int) -> Host:
        name, address = f"{self._bridge}-{number}", self._of(number + 2)
        near, far = f"{self._bridge[len(NAMES) :]}v{number}", "eth0"
        _ip("netns", "add", name)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name)
        _ip("link", "set", near, "master", self._bridge, "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", far)
        _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", name, "link", "set", far, "up")
        return Host(address, ("ip", "netns", "exec", name))


def why_not() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if shutil.which("ip") is None:
        return "there is no command ip: install iproute2"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    probe = f"{NAMES}{os.getpid()}-probe"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    _quietly("netns", "delete", probe)
    return done.stderr.strip()


def remove(bridge: str) -> None:
    """Remove a bridge and the namespaces that are named after it; a veth goes with its namespace."""
    for name in _namespaces():
        if name.startswith(f"{bridge}-"):
            _quietly("netns", "delete", name)
    _quietly("link", "delete", bridge)


def remove_left_behind() -> None:
    """Remove what a process left that was killed."""
    bridges = {name.partition("-")[0] for name in _namespaces() if name.startswith(NAMES)}
    bridges |= {path.name for path in Path("/sys/class/net").glob(f"{NAMES}*")}
    for bridge in bridges:
        pid = bridge[len(NAMES) :]
        if pid.isdigit() and not Path("/proc", pid).exists():
            remove(bridge)


def _namespaces() -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    return [line.split()[0] for line in listed.splitlines() if line]


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoNetwork(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _quietly(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=False)
