"""The store of one PBX in a database that several replicas share, under a lease.

Rule: a commit is one transaction. It locks the row of the lease (FOR SHARE) and compares the epoch
before it writes anything, and the lock lasts to its end: so the lease cannot be taken from under
it, and who takes the lease next finds all that was committed. Without the lock, a commit that is
slow could land after the next holder has read the state.

Rule: the `whole` row is written only where it is the one that is known here. So what somebody has
put in place of the state, such as a copy of the database, is noticed at the next commit.

- No rows mean a first start. Rows that are not as they were written are renamed to
  `NAME:corrupt-TIME`, never deleted, and counting begins again from now; see `file_store`.
- Rows of a newer version, or of another client_id, are not touched: `StateUnusable`.
- A commit takes five round trips to the database: begin, lease, rows, `whole`, commit; one more for
  each table of which all rows go, or all up to a key (the quarters, once in a quarter of an hour).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from ..database import Database, Transaction
from ..errors import (
    CommitInDoubt,
    DatabaseError,
    LeaseLost,
    StateInDoubt,
    StateNotWritten,
    StateReplaced,
    StateUnusable,
)
from ..ingest import KeptState, StateChange
from ..metrics.totals import Bounds, Series, Value
from .checked_rows import Whole
from .database_rows import (
    has_rows,
    lock_rows,
    moving_name,
    read_rows,
    read_whole,
    set_rows_aside,
    write_first_rows,
    write_rows,
)
from .load import SavedState
from .open_file import client_hash
from .state_rows import StateRows

_FENCE = "SELECT 1 FROM lease WHERE pbx = %s AND epoch = %s FOR SHARE"


class _Doubt(NamedTuple):
    """A commit whose answer was lost: *after* it, if it is there, with *numbered* series before."""

    after: Whole
    numbered: int


class DatabaseStore:
    """The state of the PBX *name* in *database*, whose lease is held with *epoch*.

    *bounds* and *number_zeros* are as for `FileStore`. Nothing is done before `load`. Every method
    but `close` raises `LeaseLost` where the lease is another's by now; then nothing was written,
    and nothing ever will be.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        client_id: str,
        bounds: Bounds,
        number_zeros: Mapping[Series, Value] | None = None,
        *,
        epoch: int,
    ) -> None:
        self._database = database
        self._name = name
        self._client = client_hash(client_id)
        self._epoch = epoch
        self._state = StateRows(self._client, bounds, number_zeros)
        self._whole = Whole()
        """As of the last commit that is known to be there."""
        self._doubt: _Doubt | None = None

    def load(self) -> KeptState:
        """Return what the database holds; what cannot be used is set aside.

        Raises `StateUnusable`, and `StateNotWritten` where the database cannot be asked now.
        """
        with self._fenced() as transaction:
            # A commit that was sent under this lease may still be under way.
            lock_rows(transaction, self._name)
            saved, whole = self._found(transaction)
            loaded = self._state.loaded(saved)
            if loaded.changed.tables:
                written = write_rows(transaction, self._name, whole, loaded.changed)
                if written is None:
                    raise _replaced()
                whole = written
        self._whole, self._doubt = whole, None
        return loaded.kept

    def commit(self, change: StateChange) -> None:
        """Write *change*, all of it.

        Raises `StateNotWritten`, `StateReplaced`, and `StateInDoubt`: then `landed` has to come
        before the next commit.
        """
        if self._doubt is not None:
            raise StateInDoubt("a commit before is in doubt")
        numbered, after = self._state.numbered, None
        try:
            changed = self._state.of_change(change)
            with self._database.transaction() as transaction:
                self._check_lease(transaction)
                after = write_rows(transaction, self._name, self._whole, changed)
                if after is None:
                    raise _replaced()
        except BaseException as error:
            if isinstance(error, CommitInDoubt) and after is not None:
                self._doubt = _Doubt(after, numbered)
                raise StateInDoubt(f"the state: {error}") from None
            self._state.forget_from(numbered)
            if isinstance(error, DatabaseError):
                raise _not_written(error) from None
            raise
        self._whole = after

    def landed(self) -> bool:
        """Say whether the commit in doubt is kept; waits for one that is still under way.

        Raises `StateNotWritten` where that cannot be told now, and `StateReplaced`.
        """
        doubt = self._doubt
        if doubt is None:
            return False
        with self._fenced() as transaction:
            found = read_whole(transaction, self._name)
        if found not in (doubt.after, self._whole):
            raise _replaced()
        self._doubt = None
        if found == doubt.after:
            self._whole = doubt.after
            return True
        self._state.forget_from(doubt.numbered)
        return False

    def rewrite(self, kept: KeptState) -> None:
        """Write *kept*, and set aside what stands in its place. Raises `StateNotWritten`."""
        with self._fenced() as transaction:
            lock_rows(transaction, self._name)
            set_rows_aside(transaction, self._name, "replaced")
            rows = self._state.of_all(kept)
            whole = write_first_rows(transaction, self._name, rows, self._whole.commits)
        self._state.go_on_from(kept)
        self._whole, self._doubt = whole, None

    def close(self) -> None:
        """Nothing is open: connections are lent for one transaction each."""

    @contextmanager
    def _fenced(self) -> Iterator[Transaction]:
        """Return a transaction under the lease; a `DatabaseError` becomes `StateNotWritten`."""
        try:
            with self._database.transaction() as transaction:
                self._check_lease(transaction)
                yield transaction
        except DatabaseError as error:
            failure = _not_written(error)
        else:
            return
        raise failure

    def _check_lease(self, transaction: Transaction) -> None:
        """Lock the row of the lease up to the end of *transaction*; raises `LeaseLost`."""
        if transaction.execute(_FENCE, (self._name, self._epoch)).fetchone() is None:
            raise LeaseLost("another replica has taken the lease of this PBX")

    def _found(self, transaction: Transaction) -> tuple[SavedState, Whole]:
        """Return what is kept; where there is nothing, or nothing of use, begin anew."""
        found = read_rows(transaction, self._name)
        if found is None:
            return self._new(transaction)
        reason = found.reason_to_set_aside(self._client)
        if reason is None:
            return found.saved, found.whole
        set_rows_aside(transaction, self._name, "corrupt")
        return self._new(transaction, (reason, time.time()))

    def _new(
        self, transaction: Transaction, reset: tuple[str, float] | None = None
    ) -> tuple[SavedState, Whole]:
        if has_rows(transaction, moving_name(self._name)):
            raise StateUnusable(
                "the state of this PBX was moved to the database in part; "
                "run `cdr-exporter state import` again"
            )
        whole = write_first_rows(transaction, self._name, self._state.of_new_state(reset))
        found = read_rows(transaction, self._name)
        assert found is not None  # noqa: S101 - it was written just now
        return found.saved, whole


def _not_written(error: DatabaseError) -> StateNotWritten:
    return StateNotWritten(f"the state: {error}")


def _replaced() -> StateReplaced:
    return StateReplaced("the rows in the database are not those that were committed last")
