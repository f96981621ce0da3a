"""How a state file is laid out; a change here is a new `VERSION`.

A file of an older version is set aside, and counting begins anew: none was released yet.
"""

from __future__ import annotations

VERSION = 7

APPLICATION_ID = 0x43445245  # "CDRE"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- A ledger without its identities, as a JSON object (see ledger_rows). part is 'now' for the
-- current ledger, or 'id_ledger' for the ledger by id that came before one by time
CREATE TABLE ledger (part TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID;
-- The identities that each of the two remembers
CREATE TABLE remembered (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL);
CREATE TABLE remembered_by_id (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL);
-- The calls by uid (see call_rows). legs is a JSON list of legs while the call is open, and since
-- is when the newest was seen (reachable time, seconds). Otherwise legs is 'counted' or 'passed',
-- and since is when the call was closed (reachable time, too)
CREATE TABLE calls (uid TEXT PRIMARY KEY, legs TEXT NOT NULL, since REAL NOT NULL);
-- The series that each number means. labels: JSON list in the catalogue's order; born: epoch
-- seconds, or 0 or -1 (see totals)
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    family TEXT NOT NULL, labels TEXT NOT NULL, born REAL NOT NULL,
    UNIQUE (family, labels)
);
-- The values (see totals) of 16 series, from number 16 * chunk on: JSON list of lists
CREATE TABLE chunk (chunk INTEGER PRIMARY KEY, series_values TEXT NOT NULL);
-- The calls that started in each quarter of an hour since 1970 (see metrics.quarters): JSON object
-- of sums by the number of their kind. Of which time they are known stands in meta as 'coverage'
CREATE TABLE quarter (quarter INTEGER PRIMARY KEY, cells TEXT NOT NULL);
"""

CHUNK = 16
"""Series per row of `chunk`. More than one, since a page changes many series at once, and writing
a row takes longer than writing the bytes in it."""

CHECKPOINT_PAGES = 100
"""Pages of SQLite after which the log is merged into the file: a log that stays short is
overwritten in place, and that syncs faster than a log that grows."""

WITHOUT_SHARED_MEMORY = "locking_mode=EXCLUSIVE"
"""The pragma that comes before the others where a file system has no shared memory, as some
network file systems: then nobody can read the state while a process uses it."""

PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)
