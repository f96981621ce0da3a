"""The state of one PBX, kept over restarts: loaded whole, and changed by whole commits.

`Store` is the contract; each store passes the same tests. A store keeps no state for others: who
loaded it goes on from there, and gives each change to `commit`.

    FileStore       one SQLite file per PBX; what it promises beyond the contract is said there
    DatabaseStore   rows in a database that several replicas share, under a lease

    file_store      what a poller uses: open, load, commit, close
    open_file       before a file is used: lock it, check it, create it, set it aside
    header          the first bytes of the file
    file_rows       the rows in the file
    in_place        whether the open files are still those at their paths
    lock_file       keeps a second process out, and knows the number of the last commit

    database_store  what a poller uses
    database_rows   the rows in the database

    state_rows      a state as rows, and what is loaded as a state: shared by all stores
    checked_rows    the rows that a commit changes, and their checksums
    load            everything that the rows say, checked
    ledger_rows     the ledger as rows
    series_rows     the series as rows, and their values
    call_rows       the calls as rows
    quarter_rows    the calls by quarter of an hour as rows
    schema          which tables of rows there are, and how a file is laid out

    inspection      a state looked at and copied, also beside the process that owns it
    moving          a state moved from a file into the database, and back
    publication     when the series were first shown, read beside the owner of the state
    leg_file        another file: the legs that `history` has read
"""

from __future__ import annotations

from typing import Protocol

from ..ingest import KeptState, StateChange
from .database_store import DatabaseStore
from .file_store import FileStore
from .inspection import (
    BackupRefused,
    InspectedState,
    back_up,
    back_up_rows,
    inspect,
    inspect_rows,
    rows_set_aside,
    set_aside,
)
from .leg_file import KeptLeg, LegFile
from .moving import Moved, MoveRefused, is_there, move_in, move_out
from .publication import Publication, publication_in_database, read_publication
from .schema import VERSION


class Store(Protocol):
    """What keeps the state of one PBX.

    One owner. A file is the owner's from its making to `close`, and a second process gets
    `StateInUse`. In a database it is the holder's of the lease, and once that is another's, every
    method but `close` raises `LeaseLost` and writes nothing.
    One thread at a time uses it. It may be made in one thread and then used in another.
    """

    def load(self) -> KeptState:
        """Return what is kept: what the commits until now have written, all of each.

        To be called before the first `commit`. Raises `StateUnusable`, and `StateNotWritten` where
        a database cannot be asked now; then it may be called again.
        """

    def commit(self, change: StateChange) -> None:
        """Keep *change*, which was made from what was loaded and from the commits since then.

        When it returns, all of *change* is durable, also after `kill -9` or a power failure. When
        it raises `StateNotWritten`, nothing of it is kept: the same change, or another one made
        from the same state, may be committed again. Where it raises `StateReplaced`, what it has
        kept is gone: `rewrite` has to come before the next commit. Where it raises `StateInDoubt`,
        all or nothing of it is kept, and `landed` has to come before the next commit.
        """

    def landed(self) -> bool:
        """Say whether the commit that was in doubt is kept; it is kept or not from then on.

        False where none is in doubt. Raises `StateNotWritten` where it cannot be told now; then it
        may be called again. Raises `StateReplaced` as `commit` does.
        """

    def rewrite(self, kept: KeptState) -> None:
        """Keep *kept*, and nothing else, in place of what is there.

        What was committed may be lost until it returns. Raises `StateInUse` where another owner has
        come, and `StateNotWritten`; then it may be called again. No commit is in doubt afterwards.
        """

    def close(self) -> None:
        """Let go what is open, and the lock. May be called at any time, more than once.

        Afterwards nothing else may be called.
        """


__all__ = [
    "VERSION",
    "BackupRefused",
    "DatabaseStore",
    "FileStore",
    "InspectedState",
    "KeptLeg",
    "LegFile",
    "MoveRefused",
    "Moved",
    "Publication",
    "Store",
    "back_up",
    "back_up_rows",
    "inspect",
    "inspect_rows",
    "is_there",
    "move_in",
    "move_out",
    "publication_in_database",
    "read_publication",
    "rows_set_aside",
    "set_aside",
]
