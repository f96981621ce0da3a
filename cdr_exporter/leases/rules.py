"""How the PBXs are shared out between replicas, and until when a lease counts here. Pure.

Each replica goes by the same numbers, so that all of them together come to rest: nobody takes more
than its share, and the shares of all are together never less than all PBXs.
"""

from __future__ import annotations

from collections.abc import Sequence

_RENEWALS = 3
"""How often a lease is renewed in the time that it lasts."""

_VALID_PART = 5 / 6
"""The part of a lease that counts here. The rest is for what the clocks of two machines drift apart
in that time, and for what was begun (a scrape, a request) just before the end."""

_SOONEST_RETRY = 0.2
"""Seconds."""


MOST_AT_ONCE = 50
"""How many PBXs are taken in one round: to begin with them takes time in which nothing is renewed.

It also leaves some for replicas that start at the same time."""


def share(pbxs: int, replicas: int) -> int:
    """Return how many of *pbxs* PBXs one of *replicas* live replicas may hold."""
    return -(-pbxs // max(1, replicas))


def to_take(held: int, pbxs: int, replicas: int) -> int:
    """Return how many more PBXs a replica that holds *held* may take in this round."""
    return min(MOST_AT_ONCE, max(0, share(pbxs, replicas) - held))


def to_give_back(held: Sequence[str], pbxs: int, replicas: int) -> Sequence[str]:
    """Return which of *held*, those taken last at the end, are too many.

    Those taken last go first: they have shown the least of what begins at 0 with each lease.
    """
    return held[share(pbxs, replicas) :]


def valid_until(asked_at: float, lease: float) -> float:
    """Return until when a lease counts here, on the steady clock.

    *asked_at* is a time before the database was asked for it, *lease* is how long it lasts by the
    database's clock. The database began to count later, so its end there comes after this one.
    """
    return asked_at + lease * _VALID_PART


def next_round(lease: float, random_fraction: float) -> float:
    """Return seconds from one round to the next: a third of *lease*, or up to a tenth less."""
    return lease / _RENEWALS * (1 - random_fraction / 10)


def next_try(lease: float, failures: int, random_fraction: float) -> float:
    """Return seconds to wait after the last of *failures* rounds in a row that failed.

    They double from 0.2 s up to the time between two rounds, of which a random half is left out,
    so that the replicas do not all come at once.
    """
    longest = min(lease / _RENEWALS, _SOONEST_RETRY * 2.0 ** min(failures - 1, 16))
    return longest * (1 - random_fraction / 2)
