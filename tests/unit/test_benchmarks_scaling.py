"""The model of what a site needs, and the hosts that its predictions are checked on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

#: Every step costs a number of its own; a process without anything costs nothing, unless a test says so.
BEGIN = """
import json
from dataclasses import asdict, fields
from scaling.model import Costs, Group, Process, Site, Use, average, busiest_share, plan, predict

def costs(**given):
    return Costs(**{name.name: 0.0 for name in fields(Costs)} | given)

STEPS = costs(event=1, send=10, trip=100, push=1000, arrival=10_000, delivery=100_000)
REDIS = costs(redis_send=1, redis_trip=10, redis_push=100, calls_send=1, calls_push=3)
"""


def found(code: str) -> Any:
    """The value of the last line, an expression; modules of the benchmarks are imported in a process of their own."""
    *lines, last = code.strip().splitlines()
    text = "\n".join([BEGIN, *lines, f"print(json.dumps({last}))"])
    done = subprocess.run([sys.executable, "-c", text], cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_message_costs_its_sender_and_those_it_reaches() -> None:
    """Who sends pays for the event, each node and each other process; the others for the arrival; all for members."""
    code = """
processes = [Process(5, node=0), Process(5, node=1), Process(5, node=1), Process(5, node=2)]
site = predict(STEPS, processes, [Group((2, 1, 1, 0), (1.0, 0, 0, 0))], nodes=3)
[round(use.cpu * 1e6) for use in site.servers]
"""
    # the sender: one node, two processes, two members
    assert found(code) == [1 + 10 + 100 + 2 * 1000 + 2 * 100_000, 110_000, 110_000, 0]


def test_redis_nodes_hold_groups_and_mailboxes() -> None:
    """A group is read on its own node; each mailbox is written and read on that of its process."""
    code = """
processes = [Process(5, node=0), Process(5, node=1), Process(5, node=1), Process(5, node=2)]
site = predict(REDIS, processes, [Group((1, 1, 1, 1), (2.0, 0, 0, 0), node=2)], nodes=3)
[[round(use.cpu * 1e6), use.calls] for use in site.nodes]
"""
    assert found(code) == [[0, 0], [2 * (10 + 2 * 100), 2 * 2 * 3], [2 * (1 + 10 + 100), 2 * (1 + 3)]]


def test_what_is_paid_without_a_message() -> None:
    """Memory and pings grow with the sockets of a process; each node of a Cluster hears of every process."""
    code = """
idle = costs(process_bytes=1000, socket_bytes=10, process_idle=7, ping=20, node_idle=100, node_process=5,
             node_calls_idle=2, redis_idle=3, redis_calls_idle=4, process_clustered=1)
sites = [predict(idle, [Process(0), Process(40)], [], nodes=nodes) for nodes in (1, 2)]
[[[round(use.cpu * 1e6), use.memory, use.calls] for use in (*site.servers, *site.nodes)] for site in sites]
"""
    pings = 40 * 20 / 20
    assert found(code) == [
        [[7, 1000, 0], [7 + pings, 1400, 0], [6, 0, 8]],
        [[8, 1000, 0], [8 + pings, 1400, 0], [110, 0, 4], [110, 0, 4]],
    ]


def test_statistics_are_written_for_each_pair_that_talks() -> None:
    """Once a second however much it is, on the one node that holds them."""
    code = """
site = predict(costs(calls_note=4), [Process(1)] * 3, [Group((1, 1, 0), (100.0, 0, 0))] * 2, nodes=2, statistics=1)
[round(use.calls) for use in site.nodes]
"""
    assert found(code) == [0, 4]


def test_a_plan_says_what_the_same_site_takes() -> None:
    """Averages over members that chance spreads are those of a site with members everywhere, if there are many."""
    code = """
both = Costs(**{name: getattr(STEPS, name) + getattr(REDIS, name) for name in asdict(STEPS)})
server, redis = average(both, Site(sockets=4000, sends=8.0, members=1000), 4)
site = predict(both, [Process(1000)] * 4, [Group((250,) * 4, (2.0,) * 4)])
[[server.cpu, site.servers[0].cpu], [redis.cpu, site.nodes[0].cpu], [redis.calls, site.nodes[0].calls]]
"""
    for planned, known in found(code):
        assert planned == pytest.approx(known)


def test_one_process_reaches_nobody_else() -> None:
    """No mailbox is written, and no statistics of one."""
    assert (
        found("average(costs(redis_trip=1, redis_push=1, calls_push=1, calls_note=1), Site(9, 9, 9), 1)[1].calls") == 0
    )


@pytest.mark.parametrize(
    ("step", "site", "processes", "nodes"),
    [
        ("process_bytes=1", "Site(25_000, 1, 10)", 3, 1),  # by sockets
        ("send=10_000", "Site(10, 100, 10)", 2, 1),  # by CPU
        ("event=20_000, redis_send=6_000", "Site(10, 200, 2)", 8, 5),  # and of Redis
    ],
)
def test_the_fewest_that_leave_room(step: str, site: str, processes: int, nodes: int) -> None:
    """A plan has no process and no node more than it needs."""
    assert found(f"[(found := plan(costs({step}), {site})).processes, found.nodes]") == [processes, nodes]


@pytest.mark.parametrize(
    ("step", "site", "what"),
    [
        ("delivery=1, arrival=1e9", "Site(100_000, 1e6, 1_000_000)", "processes"),
        ("redis_send=1e6", "Site(10, 1, 2)", "Redis nodes"),
    ],
)
def test_no_number_is_enough(step: str, site: str, what: str) -> None:
    """Where one process or node has too much to do however many there are, a plan says so, and does not go on."""
    code = f"""
try:
    plan(costs({step}), {site})
except ValueError as error:
    said = str(error)
said
"""
    assert found(code).startswith(f"no number of {what} is enough for Site(")


def test_the_busiest_node() -> None:
    """By chance two mailboxes are on one of two nodes half the time; many spread."""
    one, two, many = found("[busiest_share(*each) for each in ((1, 3), (2, 2), (300, 3))]")
    assert (one, two) == (pytest.approx(1), pytest.approx(0.75))
    assert 1 / 3 < many < 0.4


@pytest.fixture
def client() -> None:
    """What the modules that measure import."""
    for name in ("picows", "uvloop"):
        pytest.importorskip(name)


def test_every_cost_is_shown(client: None) -> None:
    """A cost without a line in the table would be measured for nobody."""
    code = """
from scaling.page import STEPS as shown
sorted(set(shown) ^ {each.name for each in fields(Costs)})
"""
    assert found(code) == []


def test_costs_are_found_again(client: None) -> None:
    """From windows that cost what the model says, the measurement makes the costs that the model was given."""
    code = """
from scaling.measure import FEW, MANY, PROCESSES, ROOMS, Sizes, each_of, group_costs
from scaling.site import Spent

sizes, rate = Sizes(few=5, many=40), 50.0
given = costs(event=300, send=200, trip=90, push=20, arrival=250, delivery=8, process_idle=5000, redis_send=70,
              redis_trip=60, redis_push=30, redis_idle=500, redis_calls_idle=6, calls_send=1, calls_push=3)

def window(*groups):
    site = predict(given, [Process(0)] * PROCESSES, groups)
    return Spent(rate, site.servers, site.nodes, 0.0)

def group(room):
    members = [{FEW: sizes.few, MANY: sizes.many}[size] for size in room] + [0] * (PROCESSES - len(room))
    return Group(tuple(members), (rate, 0.0, 0.0, 0.0))

idle = window()
rooms = {name: each_of(window(group(room)), idle) for name, room in ROOMS.items()}
echo = Spent(rate, [Use(given.event + given.delivery)], [], 0.0)
measured = group_costs({"idle": idle, **rooms}, echo, sizes, 0.0)
[[measured[name], getattr(given, name)] for name in measured]
"""
    for measured, given in found(code):
        assert measured == pytest.approx(given)


def test_the_tables_are_those_of_the_samples(client: None) -> None:
    """docs/scaling.rst includes what ``scripts/scaling --render`` makes of the last run; nobody has edited it."""
    code = """
from scaling.page import FOLDER, Measured, text_of
(FOLDER / "measured.txt").read_text() == text_of(Measured.load(FOLDER))
"""
    assert found(code) is True


def test_a_run_without_hosts_says_why(client: None) -> None:
    """Where namespaces cannot be made, the rest is measured and shown."""
    code = """
from scaling.page import Measured, checked_text
checked_text(Measured(unchecked="only root may make network namespaces"))
"""
    assert found(code) == "Not checked: only root may make network namespaces."


def test_hosts_differ_in_nothing_but_their_place(client: None) -> None:
    """Each host has a room of its own, by which its mailbox is found, and all have as many sockets."""
    code = """
from scaling.check import HOSTS, Sizes, layout
rooms = layout(Sizes())
[[room.hosts for room in rooms[:HOSTS]], [sum(room.each[host] for room in rooms) for host in range(HOSTS)]]
"""
    alone, sockets = found(code)
    assert alone == [[0], [1], [2], [3]]
    assert len(set(sockets)) == 1


#: Lists what there is of this process, and of one that is long gone: its number is above all that Linux gives.
LISTED = """
import os, subprocess
from scaling.network import NAMES, Network, why_not

GONE = 4194305

def listed():
    said = subprocess.run("ip netns; ip -o link", shell=True, capture_output=True, text=True).stdout
    words = {word.strip(":") for word in said.split()}
    return sorted(word for word in words if word.startswith((f"{NAMES}{os.getpid()}", f"{NAMES}{GONE}")))
"""


def test_hosts_are_gone_whatever_happens(client: None) -> None:
    """Namespaces and the bridge go with an error, and those of a process that was killed with the next start."""
    why = found(LISTED + "why_not()")
    if why:
        pytest.skip(f"no network namespaces here: {why}")
    code = """
subprocess.run(["ip", "netns", "add", f"{NAMES}{GONE}-0"], check=True)
counts = [len(listed())]
try:
    with Network(2) as network:
        counts.append(len(listed()))
        1 / 0
except ZeroDivisionError:
    counts.append(len(listed()))
counts
"""
    assert found(LISTED + code) == [1, 3, 0]  # two hosts and the bridge
