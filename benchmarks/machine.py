"""What the numbers were measured on."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("uvicorn", "uvloop", "websockets", "picows", "django", "channels")


def cpus() -> list[int]:
    """The CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def busy_seconds(of: list[int]) -> float:
    """Time these CPUs have worked for any process, or for another virtual machine. Linux only; elsewhere 0.

    Interrupts count: the kernel books loopback traffic there, and in the CPU time of the process it interrupted too.
    Without them, our own traffic would hide a neighbour that takes half a CPU.
    """
    try:
        with open("/proc/stat") as lines:
            rows = [line.split() for line in lines]
    except OSError:
        return 0.0
    names = {f"cpu{number}" for number in of}
    # user, nice, system, irq, softirq, steal
    ticks = sum(int(row[column]) for row in rows if row and row[0] in names for column in (1, 2, 3, 6, 7, 8))
    return ticks / os.sysconf("SC_CLK_TCK")


def describe(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """CPU, system, Python and package versions, as text to print."""
    facts = {
        "cpu": f"{_cpu_model()}, {len(cpus())} usable",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for package in packages:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def code(*folders: Path) -> str:
    """A short hash of the Python files in these folders: equal code, equal hash."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def load_average() -> str:
    """The machine's load over the last minute: near 0 before a run, or somebody else is measured too."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def with_children(pids: Iterable[int]) -> list[int]:
    """These processes and all that descend from them. Linux only; elsewhere the processes alone."""
    found = list(pids)
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    for pid in found:  # grows while it is gone through
        found += parents.get(pid, ())
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process so far. Linux only; elsewhere, and when it has ended, 0."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def precise_cpu_seconds(pid: int) -> float:
    """CPU time of the living threads of a process, to the microsecond. Linux only; when it has ended, 0.

    ``cpu_seconds`` goes by the clock tick, which a process that works for a fraction of it each time may always miss.
    """
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # the thread has ended
            total += int(path.read_text().split()[0])
    return total / 1e9


def resident(pid: int) -> int:
    """Bytes of memory that a process holds. Linux only; when it has ended, 0."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
