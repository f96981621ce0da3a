"""Whether a login may be sent, by the logins on record at one PBX. Pure: no I/O.

The PBX blocks our address after five failed logins in a row, until an administrator frees it; no
time is documented after which it forgets them. So none is forgotten here by time either. All times
are epoch seconds, all waits seconds.

What counts
-----------
A login that is on record may have been refused:

- one that was answered with an error code, but for codes that are about something else;
- one without a readable answer, since the process died or the answer did not come. It does not
  count where the same client_id and secret logged in before: it surely worked again, and a slow
  PBX must not stop us for good. It counts from the moment on that they are refused.

`MOST_REFUSALS` of these, of whatever client_id and secret, and nobody tries, until a person says so
(`Person.last_try_since`). A login that works frees those of its own client_id, for that is the one
thing that the PBX certainly forgets them for; after a person's last try it frees all.

Within that, one secret has `MOST_TRIES` refused tries, with waits in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

MOST_REFUSALS = 4
"""One less than the PBX blocks an address for."""

REFUSED_WAITS = (15 * 60.0, 2 * 3600.0)
"""After the first and the second refusal of a secret; after the third it is not tried again."""

MOST_TRIES = len(REFUSED_WAITS) + 1

UNANSWERED_WAITS = (60.0, 15 * 60.0, 2 * 3600.0)
"""After each login with a secret whose answer is not known; the last is for all that follow."""

_MOST_OF_A_KIND = 4
"""So many logins of one secret are kept that were refused, and that were not answered."""


class Attempt(Struct, frozen=True, kw_only=True):
    """A login that was sent *at* that time, or that was about to be.

    *name* is of this one alone. *client* is the digest of the client_id, *secret* that of client_id
    and secret. *errcode* is what the PBX answered, None where that is not known. *proven* says that
    client_id and secret had logged in before.
    """

    name: str
    client: str
    secret: str
    at: float
    errcode: int | None = None
    proven: bool = False

    @property
    def may_be_refused(self) -> bool:
        """Whether the PBX may have counted it as failed."""
        return self.errcode is not None or not self.proven


Attempts = tuple[Attempt, ...]


def refusals_at_most(attempts: Iterable[Attempt]) -> int:
    """Return how many of *attempts* the PBX may have counted as failed."""
    return sum(attempt.may_be_refused for attempt in attempts)


def refused_with(attempts: Iterable[Attempt], secret: str) -> list[Attempt]:
    """Return those with this *secret* that were answered with an error code, the oldest first."""
    found = [each for each in attempts if each.secret == secret and each.errcode is not None]
    return sorted(found, key=lambda each: each.at)


def next_try(attempts: Sequence[Attempt], secret: str) -> float:
    """Return when a login with *secret* is due: 0 for at once, infinity for never.

    That is by the waits of this secret alone; `refusals_at_most` has to allow it, too.
    """
    refused = refused_with(attempts, secret)
    unanswered = [each.at for each in attempts if each.secret == secret and each.errcode is None]
    due = 0.0
    if refused:
        due = refused[-1].at + (*REFUSED_WAITS, math.inf)[min(len(refused), MOST_TRIES) - 1]
    if unanswered:
        wait = UNANSWERED_WAITS[min(len(unanswered), len(UNANSWERED_WAITS)) - 1]
        due = max(due, max(unanswered) + wait)
    return due


def added(attempts: Attempts, attempt: Attempt) -> Attempts:
    """Return the attempts with one more; of its kind, only the newest are kept.

    What is dropped makes no difference: those that are kept are as many as matter.
    """
    alike = [each for each in attempts if _are_alike(each, attempt)]
    dropped = alike[: max(0, len(alike) + 1 - _MOST_OF_A_KIND)]
    return (*(each for each in attempts if each not in dropped), attempt)


def without(attempts: Attempts, others: Iterable[Attempt]) -> Attempts:
    """Return the attempts that are none of *others*."""
    names = {each.name for each in others}
    return tuple(each for each in attempts if each.name not in names)


def refused(attempts: Attempts, attempt: Attempt, errcode: int) -> Attempts:
    """Return the attempts with *attempt* answered by *errcode*, and its secret no longer proven."""
    kept = without(attempts, [attempt])
    doubted = (replace(each, proven=each.proven and each.secret != attempt.secret) for each in kept)
    return added(tuple(doubted), replace(attempt, errcode=errcode, proven=False))


def of_client(attempts: Iterable[Attempt], client: str) -> list[Attempt]:
    """Return those of *client*."""
    return [each for each in attempts if each.client == client]


def clamped(attempts: Attempts, now: float) -> Attempts:
    """Return the attempts with times in the future moved to *now*, so that no wait gets longer.

    Times in the future were written by a clock that was ahead of ours.
    """
    return tuple(replace(each, at=min(each.at, now)) for each in attempts)


def _are_alike(one: Attempt, other: Attempt) -> bool:
    return one.secret == other.secret and (one.errcode is None) is (other.errcode is None)
