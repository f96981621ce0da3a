"""Which page shows the newest rows of a PBX: by id, or by time where rows have no id.

Newer firmware has two tables, and which of them it lists without the parameter `from` is unknown.
Older firmware ignores the parameter. So a few rows are asked for with it: if these have no id, and
are not in the list without it, the page is read with it.

That is one page of `START_PAGE_ROWS` rows, as at a first start, and one or two looks of as many
rows as an idle poll reads.
"""

from __future__ import annotations

from typing import NamedTuple

from ..cdr.contract import CDRQuery
from ..errors import TryAgain
from ..ledger.order import BY_ID, BY_TIME, NEW_BY_TIME
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..tail.followed_list import START_PAGE_ROWS
from ..tail.page_reader import PageReader


class NewestRows(NamedTuple):
    """The page with the newest rows.

    *legacy* is what the PBX lists without `from`, where that is another table; else None.
    *clock_offset* is the PBX's clock less ours, in seconds; None where it is not known.
    """

    page: Page
    legacy: Page | None = None
    clock_offset: float | None = None


def read_newest_rows(reader: PageReader) -> NewestRows:
    """Read the newest rows. Raises `PBXError` where the PBX gives no usable answer."""
    newest = _look(reader, query(1, FIRST_PAGE_ROWS, NEW_BY_TIME))
    if newest is None or not _has_rows_without_id(newest):
        return NewestRows(reader.read(query(1, START_PAGE_ROWS, BY_ID)))
    listed = reader.read(query(1, FIRST_PAGE_ROWS, BY_TIME))
    if _have_rows_in_common(newest, listed):
        return NewestRows(reader.read(query(1, START_PAGE_ROWS, BY_TIME)))
    return NewestRows(reader.read(query(1, START_PAGE_ROWS, NEW_BY_TIME)), listed)


def _look(reader: PageReader, wanted: CDRQuery) -> Page | None:
    """Return the page, None where the PBX has no such page: it may not sort by time."""
    try:
        return reader.read(wanted)
    except TryAgain as error:
        if error.reason not in ("api", "garbled"):
            raise
        return None


def _has_rows_without_id(page: Page) -> bool:
    """Say whether rows have no id for good; a single one without `new_id` may just be broken."""
    without_id = [row for row in page.rows if not row.id]
    return len(without_id) > 1 or any(row.new_id for row in without_id)


def _have_rows_in_common(one: Page, other: Page) -> bool:
    identities = {BY_TIME.identity(row) for row in one.rows}
    return any(BY_TIME.identity(row) in identities for row in other.rows)
