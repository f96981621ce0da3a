"""How a state file is laid out; a change here is a new `VERSION`.

A file of an older version is set aside, and counting begins anew: none was released yet.

Every table has the same three columns: a key, a content in JSON, and the checksum of the row
(see `checked_rows`, which alone writes and reads them). No table has an index beside it, so that
there is nothing in the file that is not a row.
"""

from __future__ import annotations

VERSION = 8

APPLICATION_ID = 0x43445245  # "CDRE"

PAGE_SIZE = 4096
"""Bytes of SQLite's pages."""

META, LEDGER, REMEMBERED, REMEMBERED_BY_ID = "meta", "ledger", "remembered", "remembered_by_id"
CALLS, SERIES, CHUNK, QUARTER, WHOLE = "calls", "series", "chunk", "quarter", "whole"

TABLES = {
    # Whose file it is (`client`), `bounds` of histograms, when others were set aside
    # (`reset_REASON`), when the series were `first_shown`, and the `coverage` of the quarters.
    META: "TEXT",
    # A ledger without its identities (see ledger_rows), by part: `now` is the current ledger,
    # `id_ledger` the ledger by id that came before one by time.
    LEDGER: "TEXT",
    # The identities that each of the two remembers, with their keys: `IDENTITY_KEYS` keys a row.
    REMEMBERED: "INTEGER",
    REMEMBERED_BY_ID: "INTEGER",
    # The calls by uid (see call_rows).
    CALLS: "TEXT",
    # The series that each number means: [family, labels in the catalogue's order, born]; for born
    # see totals.
    SERIES: "INTEGER",
    # The values (see totals) of `CHUNK_SERIES` series, from number CHUNK_SERIES * key on.
    CHUNK: "INTEGER",
    # The calls that started in each quarter of an hour since 1970 (see metrics.quarters): sums by
    # the number of their kind.
    QUARTER: "INTEGER",
}
"""The type of the key of each table, by its name."""


def _definition(table: str, key: str) -> str:
    # A table whose key is an INTEGER is a tree by that key already.
    rowid = "" if key == "INTEGER" else " WITHOUT ROWID"
    columns = f"key {key} PRIMARY KEY, content BLOB NOT NULL, checksum INTEGER NOT NULL"
    return f"CREATE TABLE {table} ({columns}){rowid}"


SCHEMA = {table: _definition(table, key) for table, key in {**TABLES, WHOLE: "INTEGER"}.items()}
"""The statement that creates each table, as SQLite keeps it. `whole` has one row, about all others
(see `checked_rows.Whole`)."""

CHUNK_SERIES = 16
"""Series per row of `chunk`. More than one, since a page changes many series at once, and writing
a row takes longer than writing the bytes in it."""

IDENTITY_KEYS = 64
"""Keys (ids or seconds) per row of `remembered`, for the same reason."""

CHECKPOINT_PAGES = 100
"""Pages of SQLite after which the log is merged into the file: a log that stays short is
overwritten in place, and that syncs faster than a log that grows."""

WITHOUT_SHARED_MEMORY = "locking_mode=EXCLUSIVE"
"""The pragma that comes before the others where a file system has no shared memory, as some
network file systems: then nobody can read the state while a process uses it."""

CACHED_PAGES = 4
"""Pages of an open file that SQLite keeps in memory. The operating system has them, too, so more
make no commit faster; by default each of a thousand PBXs would have its whole file in memory."""

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    f"cache_size={CACHED_PAGES}",
    "cache_spill=OFF",  # what a commit writes is written once, at its end
    "shrink_memory",  # the room for 20 pages that it has taken before
)
