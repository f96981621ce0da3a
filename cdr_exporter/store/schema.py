"""How a state file is laid out; a change here is a new `VERSION`.

A file of an older version is set aside, and counting begins anew: none was released yet.
"""

from __future__ import annotations

VERSION = 4

APPLICATION_ID = 0x43445245  # "CDRE"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- What the ledger knows but for the identities, as a JSON object (see ledger_rows). part is 'now',
-- or 'id_ledger' for the ledger by id that came before one by time
CREATE TABLE ledger (part TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID;
-- The identities that each of the two remembers
CREATE TABLE remembered (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL);
CREATE TABLE remembered_by_id (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL);
-- The calls by uid (see call_rows). legs is a JSON list of legs while the call is open, and since
-- is when the newest was seen (reachable time, seconds). Otherwise legs is 'counted' or 'passed',
-- and since is when the call ended (epoch seconds)
CREATE TABLE calls (uid TEXT PRIMARY KEY, legs TEXT NOT NULL, since REAL NOT NULL);
-- What a number stands for. labels: JSON list in the catalogue's order; born: epoch seconds
CREATE TABLE series (
    number INTEGER PRIMARY KEY,
    family TEXT NOT NULL, labels TEXT NOT NULL, born REAL NOT NULL,
    UNIQUE (family, labels)
);
-- The values (see tally) of 16 series, from number 16 * chunk on: JSON list of lists
CREATE TABLE chunk (chunk INTEGER PRIMARY KEY, series_values TEXT NOT NULL);
"""

CHUNK = 16
"""Series per row of values: a page changes many series, and a row costs more than its bytes."""

CHECKPOINT_PAGES = 100
"""A log that stays short is written over in place, which syncs faster than one that grows."""

PRAGMAS = (
    # Before WAL: then no shared memory is needed, which network file systems lack.
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
)
