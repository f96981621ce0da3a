"""The rows of a state in a database; see `checked_rows` for what is checked about them.

All are in one table, `state`: of which PBX, in which *part* (a table of `schema`, or `whole`), with
which key. A key that is a number is in the column `number`, and one that is a text in `name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

import msgspec

from ..database import Transaction
from ..errors import StateUnusable
from .checked_rows import (
    ChangedRows,
    Damaged,
    Key,
    Row,
    Rows,
    TableChange,
    Whole,
    verified,
    whole_of,
)
from .load import SavedState, saved_state
from .schema import TABLES, VERSION, WHOLE

_Place = tuple[str, int, str]
"""Part, number and name of a row."""

_KEY_TYPES = {**TABLES, WHOLE: "INTEGER"}

_LOCK_WHOLE = "SELECT 1 FROM state WHERE pbx = %s AND part = 'whole' FOR UPDATE"

_READ = "SELECT part, number, name, content, checksum FROM state WHERE pbx = %s"

_READ_WHOLE = f"{_READ} AND part = 'whole' FOR UPDATE"

_KEYS = "SELECT number, name FROM state WHERE pbx = %s AND part = %s AND number < %s"

_HIGHEST = 2**63 - 1

# Everything sees the rows as they were before: so the checksums are those of the rows that went.
_WRITE = """
WITH put AS (
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::bigint[])
    AS each (part, number, name, content, checksum)
), gone AS (
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[]) AS each (part, number, name)
), touched AS (
    SELECT part, number, name FROM put UNION ALL SELECT part, number, name FROM gone
), old AS (
    SELECT state.checksum FROM touched JOIN state USING (part, number, name) WHERE state.pbx = %s
), deleted AS (
    DELETE FROM state USING gone WHERE state.pbx = %s AND
    (state.part, state.number, state.name) = (gone.part, gone.number, gone.name)
), written AS (
    INSERT INTO state SELECT %s, part, number, name, content, checksum FROM put
    ON CONFLICT (pbx, part, number, name)
    DO UPDATE SET content = excluded.content, checksum = excluded.checksum
)
SELECT count(*), coalesce(sum(checksum), 0)::bigint FROM old
"""

_WRITE_FIRST_WHOLE = "INSERT INTO state VALUES (%s, 'whole', 0, '', %s, %s)"

_WRITE_WHOLE = """
UPDATE state SET content = %s, checksum = %s
WHERE pbx = %s AND part = 'whole' AND number = 0 AND name = '' AND content = %s AND checksum = %s
"""

_ONE = "SELECT 1 FROM state WHERE pbx = %s LIMIT 1"

_DELETE = "DELETE FROM state WHERE pbx = %s"

_RENAME = "UPDATE state SET pbx = %s WHERE pbx = %s"

_NAMES = "SELECT DISTINCT pbx FROM state WHERE starts_with(pbx, %s) ORDER BY pbx"


class FoundRows(NamedTuple):
    """The rows of a state as they were read, by part, each in the order of the keys.

    *size* is how many bytes are in them.
    """

    parts: dict[str, list[Row]]
    size: int

    def reason_to_set_aside(self, client: str) -> str | None:
        """Return why it cannot be used: one of `STATE_RESETS`; None where it can.

        Raises `StateUnusable` where it is of a newer version or counts for another *client* than
        that one, since it must be left alone then.
        """
        try:
            version = self._version()
            if version > VERSION:
                raise StateUnusable(
                    f"the state in the database is of version {version} and this program knows "
                    f"{VERSION}; install the newer cdr-exporter again, or give this PBX another "
                    "name"
                )
            if version < VERSION:
                return "foreign"
            is_ours = self.saved.client == client
        except (msgspec.MsgspecError, ValueError, LookupError):
            return "corrupt"
        if not is_ours:
            raise StateUnusable(
                "the state in the database counts for another client_id; give this PBX another "
                "name, or move the state out with `cdr-exporter state export`"
            )
        return None

    @property
    def whole(self) -> Whole:
        """What is known of all rows together; raises `Damaged` or msgspec's errors."""
        return whole_of(self.parts.get(WHOLE, []))

    @property
    def checked(self) -> ChangedRows:
        """All rows, as another place has to write them; raises `Damaged` or msgspec's errors."""
        rows = ChangedRows()
        for table, contents in self._contents().items():
            rows.put(table, contents.items())
        return rows

    @property
    def saved(self) -> SavedState:
        """What they say; raises ValueError, LookupError or msgspec's errors."""
        return saved_state(self._contents())

    def _contents(self) -> dict[str, Rows]:
        if self.parts.keys() - _KEY_TYPES.keys():
            raise Damaged("there are parts that nobody knows")
        return verified({table: self.parts.get(table, []) for table in TABLES}, self.whole)

    def _version(self) -> int:
        """Return the version of the layout, also of a newer one, which may say more beside it."""
        [(_, content, _)] = self.parts[WHOLE]
        return msgspec.json.decode(content, type=list[int])[0]


def read_rows(transaction: Transaction, pbx: str) -> FoundRows | None:
    """Return the rows of *pbx*, all as of one commit; None without any."""
    parts: dict[str, list[Row]] = {}
    size = 0
    for part, number, name, content, checksum in transaction.execute(_READ, (pbx,)):
        key = _key(part, number, name)
        # A row in a place where none of ours can be is of a part that nobody knows.
        known = part if _place(part, key) == (part, number, name) else ""
        parts.setdefault(known, []).append((key, bytes(content), checksum))
        size += len(content)
    for part in parts.keys() & _KEY_TYPES.keys():
        parts[part].sort(key=itemgetter(0))
    return FoundRows(parts, size) if parts else None


def lock_rows(transaction: Transaction, pbx: str) -> None:
    """Wait for a commit that is under way, and let no other begin before this transaction ends."""
    transaction.execute(_LOCK_WHOLE, (pbx,))


def read_whole(transaction: Transaction, pbx: str) -> Whole | None:
    """Lock as `lock_rows`, and return what is known of all rows; None where it makes no sense."""
    found = transaction.execute(_READ_WHOLE, (pbx,)).fetchall()
    try:
        return whole_of([(number, bytes(content), check) for _, number, _, content, check in found])
    except (msgspec.MsgspecError, ValueError):
        return None


def write_rows(
    transaction: Transaction, pbx: str, before: Whole, changed: ChangedRows
) -> Whole | None:
    """Write what has *changed* since *before*, and return what is known of all rows then.

    None where *before* is not what is there: then the transaction must not be committed.
    """
    after = _written(transaction, pbx, before, changed)
    _, content, checksum = after.row
    _, known, known_checksum = before.row
    row = (content, checksum, pbx, known, known_checksum)
    return after if transaction.execute(_WRITE_WHOLE, row).rowcount == 1 else None


def write_first_rows(
    transaction: Transaction, pbx: str, changed: ChangedRows, commits: int = 0
) -> Whole:
    """Write the rows of *changed* where there is none, as one commit after *commits* others."""
    after = _written(transaction, pbx, Whole(commits=commits), changed)
    transaction.execute(_WRITE_FIRST_WHOLE, (pbx, *after.row[1:]))
    return after


def has_rows(transaction: Transaction, pbx: str) -> bool:
    """Say whether there are rows of *pbx*."""
    return transaction.execute(_ONE, (pbx,)).fetchone() is not None


def delete_rows(transaction: Transaction, pbx: str) -> None:
    """Delete the rows of *pbx*."""
    transaction.execute(_DELETE, (pbx,))


def moving_name(pbx: str) -> str:
    """Return under which name the state of *pbx* is moved into the database; see `moving`."""
    return f"{pbx}:moving"


def rename_rows(transaction: Transaction, pbx: str, other: str) -> None:
    """Let the rows of *pbx* be those of *other*, of which there are none."""
    transaction.execute(_RENAME, (other, pbx))


def names_aside(transaction: Transaction, pbx: str) -> list[str]:
    """Return the names under which states of *pbx* were set aside."""
    return [name for (name,) in transaction.execute(_NAMES, (f"{pbx}:",))]


def set_rows_aside(transaction: Transaction, pbx: str, aside: str) -> str:
    """Rename the rows of *pbx* to NAME:*aside*-TIME, and return that name."""
    taken = names_aside(transaction, pbx)
    [now] = transaction.execute(_TIME).fetchone() or ("",)
    name, number = f"{pbx}:{aside}-{now}", 2
    while name in taken:
        name, number = f"{pbx}:{aside}-{now}-{number}", number + 1
    rename_rows(transaction, pbx, name)
    return name


_TIME = """SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')"""


def _written(transaction: Transaction, pbx: str, before: Whole, changed: ChangedRows) -> Whole:
    put: list[tuple[_Place, Row]] = []
    gone: list[_Place] = []
    for table, change in changed.tables.items():
        put += [(_place(table, row[0]), row) for row in change.rows.values()]
        gone += [_place(table, key) for key in _deleted(transaction, pbx, table, change)]
    rows = [row for _, row in put]
    columns = (
        *_columns([place for place, _ in put]),
        [content for _, content, _ in rows],
        [checksum for _, _, checksum in rows],
        *_columns(gone),
    )
    found = transaction.execute(_WRITE, (*columns, pbx, pbx, pbx)).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    old, old_checksums = found
    checksums = sum(change.checksums for change in changed.tables.values())
    return before.with_rows(len(put) - old, checksums - old_checksums).after_commit()


def _columns(places: Sequence[_Place]) -> tuple[list[str], list[int], list[str]]:
    return (
        [part for part, _, _ in places],
        [number for _, number, _ in places],
        [name for _, _, name in places],
    )


def _deleted(transaction: Transaction, pbx: str, table: str, change: TableChange) -> Iterable[Key]:
    """Return the keys of the rows that go and are not written again."""
    if not change.emptied and change.below is None:
        return change.deleted
    below = _HIGHEST if change.emptied or change.below is None else change.below
    found = transaction.execute(_KEYS, (pbx, table, below)).fetchall()
    keys = dict.fromkeys([*change.deleted, *(_key(table, *each) for each in found)])
    return [key for key in keys if key not in change.rows]


def _place(part: str, key: Key) -> _Place:
    """Return where the row of *key* is; a text cannot hold NUL there."""
    if isinstance(key, int):
        return part, key, ""
    return part, 0, key.replace("%", "%25").replace("\0", "%00")


def _key(part: str, number: int, name: str) -> Key:
    """Return the key of the row at a place."""
    if _KEY_TYPES.get(part) == "INTEGER":
        return number
    return name.replace("%00", "\0").replace("%25", "%")
