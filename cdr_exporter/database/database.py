"""Transactions in a database that several replicas share, each with a bound on how long it takes.

Rule: nobody waits for long, nor keeps others waiting. A lease of a PBX ends after *lease* seconds;
whoever holds a row of it while he stands still would keep its next holder from taking it. So a
quarter of a lease is the most for each step, here and in the server: for a statement, for a lock,
and for a pause within a transaction, after which the server itself ends it. So it does where its
answer is not taken, as by a machine that has failed in the middle of it.

Rule: what was committed is durable. `synchronous_commit` is switched on in each transaction,
whatever the server, the database or the user has as its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigError
from ..secret import Secret

if TYPE_CHECKING:
    from .pool import Pool

CONNECTIONS = 8
"""How many connections all threads share; each is in use for some milliseconds at a time."""

_MOST_SECONDS = 10.0
"""Of a step, however long a lease is."""

_NO_DRIVER = (
    "state_url_file: the driver of PostgreSQL is not installed;"
    " pip install 'cdr-exporter[postgres]'"
)


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The most seconds that a step may take.

    *server* is for a statement and a pause, held by the server, and half of it for a lock. *answer*
    is how long we wait for it to answer: longer, so that the server can say itself what took too
    long, and still less than half a lease.
    """

    server: float
    answer: float


def time_limits(lease: float) -> TimeLimits:
    """Return the limits for leases of so many seconds."""
    server = min(lease / 4, _MOST_SECONDS)
    return TimeLimits(server, server * 1.5)


Parameters = Sequence[Any] | Mapping[str, Any]
"""Of a statement, by their order or by their names."""


class Rows(Protocol):
    """What a statement returned; all of it is here already."""

    @property
    def rowcount(self) -> int:
        """How many rows it returned, wrote or removed."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, None after the last."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class Transaction(Protocol):
    """One transaction, READ COMMITTED; names without a schema are those of `cdr_exporter`."""

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run one statement with `%s`, or `%(name)s`, for each of *parameters*.

        Raises `DatabaseError`.
        """


class Database:
    """The database at *url*; *connections* is how many are open at most.

    It connects when it is first needed, and again when a connection is lost. Any thread may use it.
    Raises `ConfigError` where the URL cannot be used, or the driver is not installed.
    """

    def __init__(self, url: Secret, lease: float, connections: int = CONNECTIONS) -> None:
        self.limits = time_limits(lease)
        self._pool = _make_pool(url, self.limits, connections)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Return a transaction: committed at the end of the block, undone if the block raises.

        Raises `DatabaseError` where nothing of it was written, and `CommitInDoubt` where that
        cannot be known: the answer to COMMIT did not come.
        """
        return self._pool.transaction()

    def close(self) -> None:
        """Close all connections; who waits for one gets a `DatabaseError`."""
        self._pool.close()


def _make_pool(url: Secret, limits: TimeLimits, connections: int) -> Pool:
    try:
        from .pool import Pool
    except ImportError:
        problem = _NO_DRIVER
    else:
        return Pool(url, limits, connections)
    raise ConfigError(problem)
