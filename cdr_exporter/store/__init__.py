"""Ledger and totals of one PBX, kept together in one SQLite file, never half-written.

What is promised
----------------
- One owner: a lock is held from `open` to `close`; a second process gets `StateInUse`.
- After `commit` returns, ledger and totals are on the disk, both, also after `kill -9` or power
  loss (WAL with synchronous=FULL: one more sync a page, against counters that step back).
- After `commit` raised `StateNotWritten`, the file holds what it held before, and so does this
  object: the same page may be judged and committed again.
- No file means a first start. A file that cannot be read is set aside as `NAME.corrupt-TIME`,
  never deleted, and counting begins anew at now, for a second baseline under the same series
  would look like calls.
- A file of a newer version or of another client_id is not touched: `StateUnusable`.

Not promised: anything about a file that was restored from an older copy while its PBX has
forgotten the rows in between.

One thread at a time may use a store.

    store       what a poller uses: open, commit, close
    opening     lock, look, create, set aside
    contents    what the file says
    ledgers     the ledger in it
    schema      how the file is laid out
"""

from .schema import VERSION
from .store import Store

__all__ = ["VERSION", "Store"]
