"""The state of one PBX in one SQLite file: ledger, totals and calls together, never half-written.

What is promised
----------------
- One owner: a lock is held from opening to `close`. A second process gets `StateInUse`.
- After `commit` returned, ledger, totals and calls are on the disk, all of them, also after
  `kill -9` or a power failure (WAL with synchronous=FULL: one more sync per page, so that no
  counter goes back).
- After `commit` raised `StateNotWritten`, the file and the store's fields hold what they held
  before: the same page may be judged and committed again.
- No file means a first start. A file that cannot be used is renamed to `NAME.corrupt-TIME`, never
  deleted, and counting begins again from now. Not from the beginning: a second baseline would
  raise the same series again and look like calls.
- A file of a newer version, or of another client_id, is not touched: `StateUnusable`.

Not promised: anything about a file that was put back from an older copy while its PBX has deleted
the rows in between.

Who may call what, and when
---------------------------
One thread at a time uses a store. It may be opened in one thread and then used in another.

    Store(…)          opens, or creates, and loads. Raises `StateInUse`, `StateUnusable`, or OSError
                      where the directory cannot be used; then nothing is left open or locked
    ledger, totals,   what was committed last. The values are not changed in place, except for
    calls, quarters   *calls*, which every `commit` changes
    commit            only with a ledger, totals and changes of calls and quarters that were made
                      from them
    commit_quarters   with a change of the quarters alone
    note_first_shown  before the series of rows and calls are shown; the first time is kept
    keep_read_times   with a ledger that differs from the committed one only by the times at which
                      its ranges were read; these times are not in the file
    close             at any time, more than once; afterwards nothing else

    store         what a poller uses: open, commit, close
    open_file     before a file is used: lock it, check it, create it, set it aside
    load          everything that a file says, checked
    ledger_rows   the ledger in the file
    call_rows     the calls in the file
    quarter_rows  the calls by quarter of an hour in the file
    schema        how the file is laid out
    publication   when the series were first shown, read beside the process that owns the file
    leg_file      another file: the legs that `history` has read
"""

from .leg_file import KeptLeg, LegFile
from .load import FirstShown
from .publication import Publication, read_publication
from .schema import VERSION
from .store import Store

__all__ = [
    "VERSION",
    "FirstShown",
    "KeptLeg",
    "LegFile",
    "Publication",
    "Store",
    "read_publication",
]
