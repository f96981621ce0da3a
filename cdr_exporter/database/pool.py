"""The driver, psycopg, and its pool: connecting, lending, beginning and committing.

What `psycopg_pool` leaves to us:

- It connects in threads of its own and tells nobody why that failed; so `_Connector` notes it, and
  who waits for a connection learns it at once.
- A connection may have been lost since it was used last, as after a restart of the server. That is
  seen when a transaction begins, before anything is done in it, and the next one is taken.
- No answer ever comes from a server that hangs, though its machine acknowledges all we send: so
  `_Connection` gives up.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, cast

import psycopg
import psycopg_pool
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from ..errors import ConfigError, DatabaseError
from ..secret import Secret
from . import failures
from .database import Parameters, Rows, TimeLimits

_LOOK_SECONDS = 0.1
"""How often who waits for a connection looks whether connecting failed."""

_LEAST_CONNECT_SECONDS = 2
"""libpq knows no shorter time."""

_MOST_INTERVALS = 3
"""After how many unanswered keepalives a connection is given up."""

# It would log what we raise a second time, and which connections it drops.
logging.getLogger("psycopg").setLevel(logging.CRITICAL + 1)


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection cannot be used any more."""


class _Patience:
    """How long an answer is waited for, in *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def is_over(self, began: float) -> bool:
        """Return whether who began to wait then gives up now."""
        return time.monotonic() >= began + self.seconds


class _Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which answers are waited for with *patience*."""

    patience = _Patience(math.inf)

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the steps *gen* of the driver to their end, or close and raise `NoAnswer`."""
        try:
            return super().wait(_with_patience(gen, self.patience), *args, **kwargs)
        except NoAnswer:
            self.close()
            raise


def _with_patience(
    steps: Generator[Any, Any, Any], patience: _Patience
) -> Generator[Any, Any, Any]:
    """Do as *steps*, until the *patience* is over; the driver goes on with it every 0.1 s.

    What came meanwhile is looked at first: this process may have been stopped for a while.
    """
    began = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send((yield wanted))
            if patience.is_over(began):
                raise NoAnswer
    except StopIteration as end:
        return end.value


class _Connector:
    """Makes connections for the pool, and notes why it could not; stands for their class."""

    def __init__(self, patience: _Patience, limits: TimeLimits) -> None:
        self._patience = patience
        # Of the server's end. No other limit ends a session that waits for us to take its answer,
        # and it holds its locks meanwhile. Once for each connection: a server whose system cannot
        # do it writes a line into its log.
        self._limit_sending = f"SET tcp_user_timeout = {math.ceil(limits.server * 1000)}"
        self._connecting: set[int] = set()
        self.failed = _Failed(0, None)

    def connect(self, conninfo: str, **kwargs: Any) -> _Connection:
        """Return a new connection; raises `DatabaseError`."""
        self._connecting.add(threading.get_ident())
        try:
            connection = _Connection.connect(conninfo, **kwargs)
            connection.patience = self._patience
            failure = failures.of_server(connection) or self._prepared(connection)
        except (psycopg.Error, ValueError, OSError) as error:  # of the URL and of names, too
            failure = failures.of_connecting(error)
        finally:
            self._connecting.discard(threading.get_ident())
        if failure is None:
            return connection
        self.failed = _Failed(self.failed.number + 1, failure)
        raise failure

    def _prepared(self, connection: _Connection) -> DatabaseError | None:
        try:
            connection.execute(self._limit_sending, prepare=False)
        except psycopg.Error as error:
            connection.close()
            return failures.of_statement(error)
        return None

    @property
    def is_connecting(self) -> bool:
        """Whether an attempt to connect has not ended yet."""
        return bool(self._connecting)

    def failure_after(self, seen: int) -> DatabaseError | None:
        """Return the newest failure, as an error of its own, if it came after that number."""
        number, failure = self.failed
        return failures.again(failure) if failure and number > seen else None


class _Failed(NamedTuple):
    """The newest failure to connect, and the how manieth it is."""

    number: int
    failure: DatabaseError | None


class _Transaction:
    """What the block of a transaction gets."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run one statement; raises `DatabaseError`."""
        try:
            return self._connection.execute(sql, parameters or None)
        except psycopg.Error as error:
            failure = failures.of_statement(error)
        raise failure


class Pool:
    """The connections to one database. Raises `ConfigError` where the *url* cannot be used."""

    def __init__(self, url: Secret, limits: TimeLimits, connections: int) -> None:
        self._begin, self._patience = _begin(limits), _Patience(limits.answer)
        self._connector = _Connector(self._patience, limits)
        self._is_closed = False
        self._pool = psycopg_pool.ConnectionPool[_Connection](
            url.reveal(),
            connection_class=cast(type[_Connection], self._connector),
            kwargs=_parameters(url, limits),
            min_size=0,
            max_size=connections,
            open=False,
            reconnect_timeout=0,
        )

    @contextmanager
    def transaction(self) -> Iterator[_Transaction]:
        """As `Database.transaction`."""
        connection = self._begun()
        try:
            try:
                yield _Transaction(connection)
            except BaseException:
                _roll_back(connection)
                raise
            _commit(connection)
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """As `Database.close`."""
        self._is_closed = True
        self._pool.close(timeout=0)

    def _begun(self) -> _Connection:
        """Return a connection in a new transaction; those that were lost meanwhile are dropped."""
        began = time.monotonic()
        while True:
            connection = self._lent(began)
            failure = self._beginning_fails(connection)
            if failure is None:
                return connection
            self._pool.putconn(connection)
            if not connection.closed or self._patience.is_over(began):
                raise failure

    def _beginning_fails(self, connection: _Connection) -> DatabaseError | None:
        try:
            connection.execute(self._begin, prepare=False)
        except psycopg.Error as error:
            failure = failures.of_statement(error)
            _roll_back(connection)
            return failure
        return None

    def _lent(self, began: float) -> _Connection:
        """Return a connection; raises `DatabaseError` where connecting fails, or all are busy."""
        seen = self._connector.failed.number
        while not self._patience.is_over(began):
            with suppress(psycopg_pool.PoolTimeout):
                return self._from_pool(_LOOK_SECONDS)
            failure = self._connector.failure_after(seen)
            if failure and failure.reason != "busy":
                raise failure
        raise self._connector.failure_after(seen) or failures.no_connection(
            connecting=self._connector.is_connecting
        )

    def _from_pool(self, seconds: float) -> _Connection:
        with suppress(psycopg_pool.PoolClosed):
            if not self._is_closed:
                self._pool.open()
                return self._pool.getconn(seconds)
        raise failures.closed()


def _commit(connection: _Connection) -> None:
    """Commit; raises `CommitInDoubt` where it is not known whether it was done."""
    warned: list[object] = []
    connection.add_notice_handler(warned.append)
    try:
        result = connection.execute("COMMIT", prepare=False)
    except psycopg.Error as error:
        failure: DatabaseError = failures.of_commit(error)
        _roll_back(connection)
    else:
        # A server that stops waiting for its standby says so by a warning.
        if result.statusmessage == "COMMIT" and not warned:
            return
        failure = failures.odd_commit(undone=result.statusmessage == "ROLLBACK")
    finally:
        connection.remove_notice_handler(warned.append)
    raise failure


def _roll_back(connection: _Connection) -> None:
    """Undo the transaction; where that cannot be said to the server, the connection is closed."""
    status = connection.pgconn.transaction_status
    if status == TransactionStatus.IDLE:
        return
    try:
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            connection.execute("ROLLBACK", prepare=False)
            return
    except psycopg.Error:
        pass
    connection.close()


def _begin(limits: TimeLimits) -> str:
    """Return the statements that begin a transaction, sent as one.

    The settings are made anew for each transaction, and for it alone. So they hold whatever the
    defaults are, and also behind a pooler, which lends us another session each time.
    """
    # A lock is waited for half as long, so that it is said that it was the lock.
    most = f"{math.ceil(limits.server * 1000)}ms"
    settings = {
        "synchronous_commit": "on",
        "statement_timeout": f"'{most}'",
        "lock_timeout": f"'{math.ceil(limits.server * 500)}ms'",
        "idle_in_transaction_session_timeout": f"'{most}'",
        "search_path": "cdr_exporter",
    }
    steps = [f"SET LOCAL {name} = {value}" for name, value in settings.items()]
    return "; ".join(["BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", *steps])


def _parameters(url: Secret, limits: TimeLimits) -> dict[str, Any]:
    """Return what we ask of each connection, over what the URL asks."""
    parameters: dict[str, Any] = {
        "autocommit": True,  # BEGIN is ours
        "application_name": "cdr-exporter",
        "client_encoding": "UTF8",
        "connect_timeout": max(_LEAST_CONNECT_SECONDS, math.ceil(limits.server)),
        "tcp_user_timeout": math.ceil(limits.server * 1000),
        "keepalives": 1,
        "keepalives_idle": max(1, int(limits.server / 2)),
        "keepalives_interval": max(1, int(limits.server / 2 / _MOST_INTERVALS)),
        "keepalives_count": _MOST_INTERVALS,
    }
    given = _given_parameters(url)
    if "," in str(given.get("host", "")):
        # Of several hosts the one that can be written to.
        parameters["target_session_attrs"] = given.get("target_session_attrs", "read-write")
    return parameters


def _given_parameters(url: Secret) -> dict[str, Any]:
    with suppress(psycopg.Error):
        return dict(conninfo_to_dict(url.reveal()))
    # The driver's own message quotes the URL.
    raise ConfigError(failures.BAD_URL)
