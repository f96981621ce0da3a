"""File numbers: how many connections there may be, so that the pollers always have theirs.

Each open file and each connection needs one, and the system gives a process no more than its limit,
which is often 1,024. A program may raise that up to its hard limit, and this one does.
"""

from __future__ import annotations

import resource
from typing import NamedTuple

MOST_FILES = 65_536
"""The limit is not raised above it: where it is a billion, tables of the system grow with it."""

MOST_CONNECTIONS = 2_048
FEWEST_CONNECTIONS = 16

FILES_OF_PROCESS = 64
"""Standard streams, event loop, listening sockets, log, time zones, and what is open in between."""

FILES_PER_PBX = 8
"""A state file with its log, shared memory and lock (4), the connection to the PBX, and three for
what is open for a moment: the token file, its directory, the secret."""


class ConnectionLimits(NamedTuple):
    """How many connections there may be in all, and from one address."""

    total: int
    per_client: int


DEFAULT_LIMITS = ConnectionLimits(MOST_CONNECTIONS, MOST_CONNECTIONS // 2)


def connection_limits(files: int, pbxs: int) -> ConnectionLimits:
    """Return what is left of *files* when *pbxs* PBXs have theirs, and half of it for an address.

    Half is enough for a reverse proxy, behind which all clients have one address, and leaves as
    much for everybody else.
    """
    left = files - FILES_OF_PROCESS - FILES_PER_PBX * pbxs
    total = max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, left))
    return ConnectionLimits(total, total // 2)


def files_needed(pbxs: int) -> int:
    """Return how many file numbers *pbxs* PBXs and the fewest connections need."""
    return FILES_OF_PROCESS + FILES_PER_PBX * pbxs + FEWEST_CONNECTIONS


def file_limit(soft: int, hard: int) -> int:
    """Return the limit to have where it is *soft* now and may be raised to *hard*."""
    if soft == resource.RLIM_INFINITY:
        return MOST_FILES
    return max(soft, MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES))


def raise_file_limit() -> int:
    """Raise the limit of this process as far as it is of use and may go, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = file_limit(soft, hard)
    if soft in (wanted, resource.RLIM_INFINITY):
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a sandbox may forbid it
        return soft
    return wanted
