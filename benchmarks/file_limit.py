"""The number of sockets that may be open."""

from __future__ import annotations

import resource
import sys


def raise_file_limit(needed: int) -> None:
    """Let this process and the servers it starts hold that many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        sys.exit(f"{needed} open files are needed, the limit here is {hard}: raise it, or use fewer sockets")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
