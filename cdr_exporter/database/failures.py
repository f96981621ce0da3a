"""What the driver raises, as our errors: in our words, by the code that the server sends.

Source of the codes: PostgreSQL, appendix A "Error Codes". A server may speak any language, so its
texts are read for one thing only: why it refused a connection, where the driver has no code.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import psycopg

from ..errors import CommitInDoubt, DatabaseError

OLDEST_SERVER = 150000
"""PostgreSQL 15, as the server writes it."""

BAD_URL = (
    "state_url_file: what it holds is no URL of PostgreSQL; write"
    " postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters"
)


class _Failure(NamedTuple):
    reason: str
    text: str


_LOST = _Failure("unreachable", "the database closed the connection; is it restarting?")
_SILENT = _Failure("unreachable", "the database did not answer in time")
_READ_ONLY = _Failure(
    "refused", "the database is read-only, as a standby is; name the primary in state_url_file"
)
_PASSWORD = _Failure(
    "refused", "the database refused the user or the password of state_url_file; correct the file"
)
_NO_DATABASE = _Failure(
    "refused", "the server has no such database as state_url_file names; create it"
)
_NO_CONNECTION_LEFT = _Failure(
    "busy", "the server has no connection left for us; raise its max_connections"
)
_POOLER = _Failure(
    "error",
    "a pooler before the database has lost a prepared statement; use its session mode, or none",
)
_STARTING = _Failure("unreachable", "the database is starting or stopping; it is tried again")

_BY_CODE = {
    "22021": _Failure("error", "the database cannot keep this text; its encoding must be UTF8"),
    "22P05": _Failure("error", "the database cannot keep this text; its encoding must be UTF8"),
    "25006": _READ_ONLY,
    "25P03": _Failure("busy", "we stood still in a transaction, and the database ended it"),
    "26000": _POOLER,
    "28000": _PASSWORD,
    "28P01": _PASSWORD,
    "3D000": _NO_DATABASE,
    "3F000": _Failure("schema", "the schema cdr_exporter is gone; restart to make it anew"),
    "40001": _Failure("busy", "the database undid it for another transaction; it is tried again"),
    "40P01": _Failure("busy", "the database undid it for another transaction; it is tried again"),
    "42501": _Failure(
        "rights",
        "the user of state_url_file may not do this; cdr-exporter check says what to grant",
    ),
    "42703": _Failure("schema", "the tables in the schema cdr_exporter are not ours"),
    "42P05": _POOLER,
    "42P01": _Failure("schema", "a table in the schema cdr_exporter is gone; restore it"),
    "53100": _Failure("full", "the disk of the database is full; make room on it"),
    "53200": _Failure("full", "the database is out of memory"),
    "53300": _NO_CONNECTION_LEFT,
    "55P03": _Failure("busy", "the database waited too long for a lock; it is tried again"),
    "57014": _Failure("busy", "the database took too long; it is tried again"),
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _STARTING,
    "57P05": _LOST,
    "58030": _Failure("full", "the disk of the database fails; see the log of the server"),
}

_BY_CLASS = {
    "08": _LOST,
    "28": _PASSWORD,
    "53": _Failure("full", "the database is out of disk, memory or another resource"),
    "57": _LOST,
}

_BAD_URL = _Failure("refused", BAD_URL)
_NOT_IN_HBA = _Failure("refused", "pg_hba.conf of the server does not let us in; add a line to it")
_NO_WAY = _Failure("unreachable", "there is no way to the address of the database")
_NO_NAME = _Failure("unreachable", "the host name of the database is not known")
_BAD_TLS = _Failure(
    "refused",
    "no TLS with the database as state_url_file asks for it: see sslmode and sslrootcert there, and"
    " the certificate of the server",
)

# Of texts of the driver, which speaks English, and of servers that do: the first that is found.
_BY_TEXT = (
    ("too many (connections|clients)|remaining connection slots", _NO_CONNECTION_LEFT),
    ("timeout expired", _SILENT),
    ("Connection refused", _Failure("unreachable", "nothing listens at the database's address")),
    ("resolve host|translate host name|ame or service not|name resolution|idna|label", _NO_NAME),
    ("No route to host|is unreachable", _NO_WAY),
    ("invalid (integer|port|\\S+) (value|number)|could not match .* (hosts|ports)", _BAD_URL),
    ("certificate|SSL|TLS", _BAD_TLS),
    ("No such file", _Failure("unreachable", "the socket of the database is not there")),
    ("password authentication failed|password supplied", _PASSWORD),
    ("role .* does not exist|not permitted to log in", _PASSWORD),
    ("pg_hba.conf", _NOT_IN_HBA),
    ("database .* does not exist", _NO_DATABASE),
    (
        "permission denied for database",
        _Failure(
            "rights", "the user of state_url_file may not connect; GRANT CONNECT ON DATABASE to him"
        ),
    ),
    ("(starting up|shutting down|recovery mode)", _STARTING),
    ("read-only", _READ_ONLY),
    ("closed the connection", _LOST),
)

_NOT_LET_IN = _Failure(
    "refused", "the server refused the connection; its log says why: user, password, pg_hba.conf"
)


def of_connecting(error: Exception) -> DatabaseError:
    """Return why there is no connection; the driver has no code for it."""
    text = str(error)
    found = (failure for pattern, failure in _BY_TEXT if re.search(pattern, text))
    return _error(next(found, _NOT_LET_IN))


def of_server(connection: psycopg.Connection[Any]) -> DatabaseError | None:
    """Return why the server that answered is of no use, if so; the connection is closed then."""
    status = connection.pgconn.parameter_status
    failure = None
    if connection.pgconn.server_version < OLDEST_SERVER:
        failure = _Failure("refused", "the server is older than PostgreSQL 15; upgrade it")
    elif status(b"in_hot_standby") == b"on":
        failure = _READ_ONLY
    elif status(b"server_encoding") != b"UTF8":
        failure = _Failure(
            "refused", "the encoding of the database is not UTF8; create one WITH ENCODING 'UTF8'"
        )
    if failure is None:
        return None
    connection.close()
    return _error(failure)


def of_statement(error: psycopg.Error) -> DatabaseError:
    """Return why a statement was not done."""
    return _error(_failure_of(error))


def of_commit(error: psycopg.Error) -> DatabaseError:
    """Return why COMMIT failed: in doubt, unless the server says that it undid all of it.

    What ends the session may come after the commit is done, while the server waits for a standby.
    """
    failure = _failure_of(error)
    if error.diag.severity_nonlocalized == "ERROR":
        return _error(failure)
    return CommitInDoubt(
        f"{failure.text}; whether it has committed is not known", reason=failure.reason
    )


def odd_commit(*, undone: bool) -> DatabaseError:
    """Return the error for a COMMIT that was answered, but not by a plain COMMIT."""
    if undone:
        return DatabaseError("a statement before had failed, so all was undone", reason="error")
    return CommitInDoubt(
        "the database committed, and did not wait until that was safe", reason="error"
    )


def no_connection(*, connecting: bool) -> DatabaseError:
    """Return the error for a wait that was in vain: for an answer, or for others to finish."""
    if connecting:
        return _error(_SILENT)
    return DatabaseError("all connections to the database are in use", reason="busy")


def closed() -> DatabaseError:
    """Return the error for what is asked for after `Database.close`."""
    return DatabaseError("the connections to the database are closed", reason="error")


def again(failure: DatabaseError) -> DatabaseError:
    """Return the same error as one of its own: several threads may raise it at once."""
    return DatabaseError(str(failure), reason=failure.reason)


def _failure_of(error: psycopg.Error) -> _Failure:
    failure = _by_code(error)
    if failure is not None:
        return failure
    if error.sqlstate:
        return _Failure("error", f"the database answered with the error {error.sqlstate}")
    return _SILENT if type(error).__name__ == "NoAnswer" else _LOST


def _by_code(error: psycopg.Error) -> _Failure | None:
    code = error.sqlstate or ""
    return _BY_CODE.get(code) or _BY_CLASS.get(code[:2])


def _error(failure: _Failure) -> DatabaseError:
    return DatabaseError(failure.text, reason=failure.reason)
