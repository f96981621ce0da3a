"""How a state file is laid out; a change here is a new `VERSION` and a way from the old one."""

from __future__ import annotations

VERSION = 3
SINCE_ENDS, SINCE_CALLS = 2, 3
"""The versions that brought the ledger by ends of calls, and the calls."""

APPLICATION_ID = 0x43445245  # "CDRE"

# What the ledger knows, but for the identities: a JSON object, see `ledgers`. part is 'now', or
# 'before' for that by id which went before one by time.
LEDGER = (
    "CREATE TABLE ledger (part TEXT PRIMARY KEY, facts TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE recent (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL)",
    "CREATE TABLE recent_before (identity INTEGER PRIMARY KEY, key INTEGER NOT NULL)",
)

# The calls by uid, see `open_calls`: legs is a JSON list of legs while the call is open, and since
# is when the newest was seen (answered time). Otherwise legs is 'counted' or 'passed', and since
# is when the call ended (epoch seconds).
CALLS = "CREATE TABLE calls (uid TEXT PRIMARY KEY, legs TEXT NOT NULL, since REAL NOT NULL)"

SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
{";".join(LEDGER)};
{CALLS};
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
