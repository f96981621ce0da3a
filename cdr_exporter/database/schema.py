"""The schema `cdr_exporter`: its tables, made by whichever replica comes first.

The tables are described where they are used: `state` in `store`, `lease` and `replica` in `leases`,
`document` here. Text is compared by its bytes, so that no update of a locale reorders an index.
"""

from __future__ import annotations

from typing import Any

from ..errors import DatabaseError
from .database import Database, Transaction

VERSION = 1
"""Of the tables; a program reads its own version only."""

TABLES = {
    "version": "version integer NOT NULL",
    "state": """
        pbx text COLLATE "C" NOT NULL,
        part text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        name text COLLATE "C" NOT NULL,
        content bytea NOT NULL,
        checksum bigint NOT NULL,
        PRIMARY KEY (pbx, part, number, name)""",
    "lease": """
        pbx text COLLATE "C" PRIMARY KEY,
        holder text COLLATE "C" NOT NULL,
        address text COLLATE "C" NOT NULL,
        epoch bigint NOT NULL,
        ends timestamptz NOT NULL""",
    "replica": """
        id text COLLATE "C" PRIMARY KEY,
        address text COLLATE "C" NOT NULL,
        pbxs bigint NOT NULL,
        ends timestamptz NOT NULL""",
    "document": """
        name text COLLATE "C" PRIMARY KEY,
        content bytea,
        locked_by text COLLATE "C",
        locked_until timestamptz""",
}

_LOCK = 0x6364_725F_6578_706F
"""Of `pg_advisory_xact_lock`: the bytes of "cdr_expo"."""

_FIND_SCHEMA = """
SELECT oid IS NOT NULL, has_schema_privilege(oid, 'USAGE'),
    coalesce(has_schema_privilege(oid, 'CREATE'),
        has_database_privilege(current_database(), 'CREATE'))
FROM (SELECT to_regnamespace('cdr_exporter')::oid) AS schema(oid)"""
"""Is there one; may we use it; may we make what is missing? In catalogues that anybody may read."""

_FIND_TABLES = """
SELECT relname::text,
    has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
FROM pg_class
WHERE relnamespace = to_regnamespace('cdr_exporter') AND relkind = 'r' AND relname = ANY(%s)"""

_FIND_RISKS = """
SELECT current_setting('fsync') = 'off' OR current_setting('full_page_writes') = 'off',
    NOT (host(inet_client_addr())::inet <<= ANY ('{127.0.0.0/8, ::1/128}'::inet[]))
    AND NOT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
    AND NOT coalesce(
        (SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()), false)"""
"""Is it not durable; is it reached over a network in clear text? No address is a local socket."""

_NOT_DURABLE = (
    "state_url_file: the server runs with fsync or full_page_writes off, so it may lose what was"
    " counted, and more, when its machine fails; switch them on"
)
_CLEAR_TEXT = (
    "state_url_file: the connection to the database is not encrypted, so tokens of the PBXs can be"
    " read on the way; add ?sslmode=verify-full to the URL"
)

_MAY_NOT_MAKE = (
    "the user of state_url_file may not make the tables; as an administrator of this database:"
    " CREATE SCHEMA cdr_exporter AUTHORIZATION that user"
)
_MAY_NOT_USE = (
    "the user of state_url_file may not use the tables; as an administrator of this database: GRANT"
    " USAGE ON SCHEMA cdr_exporter TO that user; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"
    " IN SCHEMA cdr_exporter TO that user"
)
_NOT_OURS = (
    "the tables in the schema cdr_exporter are not as this program makes them; restore them, or"
    " name another database"
)


def prepare_schema(database: Database) -> None:
    """Make the schema where there is none; raises `DatabaseError` where it cannot be used.

    Several replicas may do so at once: one makes it, the others wait for it.
    """
    with database.transaction() as transaction:
        transaction.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not _has_tables(transaction):
            _make_tables(transaction)


def check_schema(database: Database) -> list[str]:
    """Raise `DatabaseError` where `prepare_schema` would; make nothing.

    Returns a line for each thing that works but is not safe.
    """
    with database.transaction() as transaction:
        _has_tables(transaction)
        risks = zip((_NOT_DURABLE, _CLEAR_TEXT), _row(transaction, _FIND_RISKS), strict=True)
        return [text for text, is_so in risks if is_so]


def has_schema(database: Database) -> bool:
    """Say whether the schema was made already; raises `DatabaseError` where it cannot be used."""
    with database.transaction() as transaction:
        return _has_tables(transaction)


def _has_tables(transaction: Transaction) -> bool:
    """Return whether our tables are there; raises `DatabaseError` where they cannot be used."""
    _, may_use, may_make = _row(transaction, _FIND_SCHEMA)
    tables: dict[str, bool] = dict(transaction.execute(_FIND_TABLES, (list(TABLES),)))
    if not tables:
        _require(may_make and may_use is not False, "rights", _MAY_NOT_MAKE)
        return False
    _require(tables.keys() == TABLES.keys(), "schema", _NOT_OURS)
    _require(may_use and all(tables.values()), "rights", _MAY_NOT_USE)
    found = _row(transaction, "SELECT max(version), count(*) FROM version")
    _require(found[1] == 1 and found[0] >= VERSION, "schema", _NOT_OURS)
    _require(found[0] == VERSION, "schema", _newer(found[0]))
    return True


def _row(transaction: Transaction, sql: str) -> tuple[Any, ...]:
    """Return the only row of a statement that returns one in any case."""
    [row] = transaction.execute(sql)
    return row


def _require(holds: bool, reason: str, problem: str) -> None:
    if not holds:
        raise DatabaseError(problem, reason=reason)


def _newer(version: int) -> str:
    return (
        f"the tables in the database are of version {version}, newer than {VERSION}, which this"
        " program reads; update it"
    )


def _make_tables(transaction: Transaction) -> None:
    has_schema, *_ = _row(transaction, _FIND_SCHEMA)
    if not has_schema:
        transaction.execute("CREATE SCHEMA cdr_exporter")
    for name, columns in TABLES.items():
        transaction.execute(f"CREATE TABLE cdr_exporter.{name} ({columns})")
    transaction.execute("INSERT INTO version VALUES (%s)", (VERSION,))
