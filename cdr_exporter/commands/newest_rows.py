"""Which page of a PBX shows its newest rows: that of the list which the exporter would follow.

So the exporter's own detector says which list that is: by id, by time where rows have no id, or the
new table of newer firmware where only that has the newest rows.

That is one page of `START_PAGE_ROWS` rows, as at a first start, and before it three of as many rows
as an idle poll reads.
"""

from __future__ import annotations

from typing import NamedTuple

from ..clock import Clock
from ..ledger.order import BY_ID, BY_TIME, NEW_BY_TIME
from ..ledger.page import FIRST_PAGE_ROWS, Page, query
from ..settings import PBX
from ..tail.followed_list import START_PAGE_ROWS
from ..tail.missing_ids import MissingIdDetector
from ..tail.page_reader import PageReader


class NewestRows(NamedTuple):
    """The page with the newest rows.

    *legacy* is what the PBX lists without `from`, where that is another table; else None.
    *clock_offset* is the PBX's clock less ours, in seconds; None where it is not known.
    """

    page: Page
    legacy: Page | None = None
    clock_offset: float | None = None


def read_newest_rows(pbx: PBX, reader: PageReader, clock: Clock) -> NewestRows:
    """Read the newest rows. Raises `PBXError` where the PBX gives no usable answer."""
    first_page = reader.read(query(1, FIRST_PAGE_ROWS, BY_ID))
    order = MissingIdDetector(pbx, reader, clock).order_to_follow(first_page, None)
    page = reader.read(query(1, START_PAGE_ROWS, order))
    if order is not NEW_BY_TIME:
        return NewestRows(page)
    return NewestRows(page, reader.read(query(1, FIRST_PAGE_ROWS, BY_TIME)))
