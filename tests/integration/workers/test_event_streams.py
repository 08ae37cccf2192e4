"""Event streams of servers that run no consumers: posts to any of them reach the worker in order."""

from __future__ import annotations

import secrets

from tests.integration.servers.eventsource import EventSource

from .fleet import Fleet


def test_two_servers_and_a_worker(redis_url: str) -> None:
    """``serve`` has streams on every path; the answers of a worker go to the process that has the stream."""
    prefix = secrets.token_hex(6)
    server = ("-m", "routechan", "serve", "--allow-origin", "*", "--redis", redis_url, "--prefix", prefix)
    with Fleet(redis_url, servers=2, workers=1, server=server, environment={"REDIS_PREFIX": prefix}) as fleet:
        ports = [each.port for each in fleet.servers]
        with EventSource(ports[0], "/aecho/") as page:
            for number in range(20):
                assert page.post(str(number).encode(), port=ports[number % 2]) == 204
                assert page.hears() == ("message", str(number))
            fleet.servers[0].process.terminate()
            assert page.hears() == ("close", "1012")
