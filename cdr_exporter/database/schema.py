"""The schema `cdr_exporter`: its tables, made by whichever replica comes first.

The tables are described where they are used: `state` in `store`, `lease` and `replica` in `leases`,
`document` here. Text is compared by its bytes, so that no update of a locale reorders an index.
"""

from __future__ import annotations

from ..errors import DatabaseError
from .database import Database, Transaction

VERSION = 1
"""Of the tables; a program reads its own version only."""

_LOCK = 0x6364_725F_6578_706F
"""Of `pg_advisory_xact_lock`: the bytes of "cdr_expo"."""

_SCHEMA = "CREATE SCHEMA cdr_exporter"

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
        ends timestamptz NOT NULL""",
    "document": """
        name text COLLATE "C" PRIMARY KEY,
        content bytea,
        version bigint NOT NULL,
        locked_by text COLLATE "C",
        locked_until timestamptz""",
}

_OTHERS_TABLES = DatabaseError(
    "the schema cdr_exporter holds other tables than ours; name another database",
    reason="schema",
)


def prepare_schema(database: Database) -> None:
    """Make the schema where there is none; raises `DatabaseError` where it cannot be used.

    Several replicas may do so at once: one makes it, the others wait for it.
    """
    with database.transaction() as transaction:
        transaction.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = _found_version(transaction)
        if found is None:
            _make_tables(transaction)
        else:
            _refuse_other_version(found)


def check_schema(database: Database) -> None:
    """Raise `DatabaseError` where `prepare_schema` would; make nothing."""
    with database.transaction() as transaction:
        found = _found_version(transaction)
        if found is not None:
            _refuse_other_version(found)


def _found_version(transaction: Transaction) -> int | None:
    """Return the version of the tables, None where there are none."""
    there = transaction.execute("SELECT to_regclass('cdr_exporter.version') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        return None
    row = transaction.execute("SELECT version FROM cdr_exporter.version").fetchone()
    if row is None:
        raise _OTHERS_TABLES
    return int(row[0])


def _make_tables(transaction: Transaction) -> None:
    there = transaction.execute("SELECT to_regnamespace('cdr_exporter') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        transaction.execute(_SCHEMA)
    for name, columns in TABLES.items():
        transaction.execute(f"CREATE TABLE cdr_exporter.{name} ({columns})")
    transaction.execute("INSERT INTO cdr_exporter.version VALUES (%s)", (VERSION,))


def _refuse_other_version(found: int) -> None:
    if found > VERSION:
        raise DatabaseError(
            f"the tables in the database are of version {found}, newer than {VERSION}, which this"
            " program reads; update it",
            reason="schema",
        )
    if found < VERSION:
        raise _OTHERS_TABLES
