"""How a state file is laid out; a change here is a new `VERSION` and a way from the old one."""

from __future__ import annotations

VERSION = 1
APPLICATION_ID = 0x43445245  # "CDRE"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- One row: what the ledger knows, but for the identities. holes: [[lowest, highest], ...]
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    high INTEGER NOT NULL, floor INTEGER NOT NULL,
    holes TEXT NOT NULL, rejects TEXT NOT NULL, baseline INTEGER NOT NULL
);
CREATE TABLE recent (id INTEGER PRIMARY KEY, fingerprint INTEGER NOT NULL);
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
