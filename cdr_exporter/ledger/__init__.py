"""Which rows are new: every row is counted once, whatever pages it appears on.

Pure: pages and the current time are arguments; there is no I/O and no clock.

Rule 1: a range of keys is read only when a valid response has covered it. What no response has
covered is *unread*, and unread ranges are kept until they are read, over restarts too.
Rule 2: judging a page changes nothing. `Ledger.judge` returns the next ledger, which holds once
it is committed together with the counts, so a page is counted and remembered, or neither.
Rule 3: no row of a page is counted before the page is known to be of the table we follow.

How it works
------------
The list is read newest first, in one order: by id, or by the start of the call (see `order`).
A row's *key* is its place in that order, its id or the second in which the call began. Its
*identity* is a number made of its content, which no other row has. A row is
*processed* once it was counted, rejected as malformed, or left out on purpose.

One response is one consistent slice of the sorted table. So it is *evidence* for the range of
keys that it spans: a row that is not in it did not exist at that moment. A first page is evidence
for everything above its highest key too, and the last one for everything below its lowest. Which
page is the last one follows from `total_number`; where that is missing or wrong, from several
reads together (see `tail.end_of_list`).

    keys  0 ............... remembered_from ................ newest_key ...............
          read, and the     read, and the identity of         no row was there when
          identities        every processed row is in         the first page was read
          forgotten         `remembered`

Below `newest_key` two kinds of ranges are exceptions, wherever they lie: those in `unread`, and
those in `recheck`, which were read and may still bring rows.

A row whose identity is remembered is processed already and is skipped. Any other row counts when
its key

1. is `remembered_from` or higher: the table grew there, or the row appeared late (it was written
   more slowly than a row with a higher id), or it was given the id of a deleted row;
2. lies in an unread range: nobody has read it yet;
3. lies in a range to be rechecked: see `recheck_ranges`.

All other rows lie below `remembered_from`, where everything was read: they were processed, or were
there before the start. So reading a page twice is always harmless. Rows that moved down the list
because others were added come twice, and are remembered. Rows that moved up because others were
deleted are in no response, so their keys stay unread and are asked for again. A crash at any point
leaves the ledger of the last committed page, and its unread ranges say what is left to do.

Outliers
--------
A row may have an id far from those of the rows that were written with it; it may be good or
rejected, and stay there while the ids go on below it, or are given again below it after a
restore. So no single row decides anything: new rows are looked for down to where half of the rows
are known. Of a first page, those above the lowest of half a page may all be outliers, so every poll
reads down to there (`Page.new_rows_above`); and a page shows that it is of our table, and that all
new rows lie above it, where at least half of its rows are anchors (`Ledger.known_keys`). That costs
nothing while fewer rows are new than half a page, and half a page otherwise. Once as many rows
stand up there, the ids go on up there.

Missing ids among the newest `FIRST_PAGE_ROWS` rows are rechecked even after `late_window`: each
first page shows them, and there the ids may go on below one that is higher.

Not promised: rows below half a first page of outliers or more at one time; and late rows, where
outliers are among the very few rows that a mass deletion left, and are then taken for another
table; and the second of two rows of one id where a page ends exactly between them, further down
than identities are remembered. Nor rows below the lowest id of the first list, with `start: now`,
where it has less than half a page of rows and no `total_number` says that these are all.

Is it the table we know?
------------------------
An *anchor* is a row that is remembered, with a key of `remembered_from` or higher: every row
counted above it is remembered too, so all rows above it can be judged. A first page with an anchor
on half of its rows is of our table, and what lies below the page was read before; so is a whole
list with a single one. Any other first page shows
either many new rows, as after an outage, or another table. Then the nearest anchor below it is
looked for by binary search (`tail.anchor_search`), and `judge` makes the range between anchor and
page unread. That treats an outage and a restored backup alike: everything above the newest row we
know is read, and those rows count that are not remembered. Identities of rows that a restore took
away are kept, because those rows may come back.

Where no anchor is found, it is not the table we know: the PBX was reset, an old backup was
restored, or another PBX answers at the address. Nothing is counted. When two polls in a row show
such a table with at least one row in common, it is a break of the lineage: `new_lineage` begins
anew, and the `watermark` leaves out the calls that ended before the break.

Order by time
-------------
Where rows have no id, the same holds with the start of the call as key. A row appears when its
call *ends*, but at the place of its start. So the last `longest_call` seconds are always to be
rechecked: all of them are read again every few minutes, every identity in them is remembered, and
`remembered_from` follows their lower end. Each part of them has its own last read
(`Ledger.read_since`): a poll reads down to where a call began before it counts that call, and
further down while `total_number` counts rows that were not seen. Rows that share a second may be
listed in another order in each response. So a second counts as read only when one response has all
of it, from a row above it to a row below. What was counted by id before is known from the ledger
that counted it, kept as `id_ledger`.

Where newer firmware shows new rows only in its new table (`from=new`), that list is followed by
time, as `NEW_BY_TIME`, once the list without `from` was read to its end.

Rows of an impossible time (before 2000, or more than a day ahead of us) may stand on top for years.
Up to nine are outliers like others: where the newest row is ahead of us, new rows are looked for as
far down as by id. However many there are, what may be new below them is unread in each poll anew,
from the newest key that is possible (`newest_possible`) to the end of the first page, or to a
little ahead of us where that shows impossible times only.

Not promised by time is at which poll new rows count that do not fit the first page, in three cases:
where half a first page or more are ahead of the others at one time by less than a day, as a PBX's
clock may be; where the PBX's clock is ahead of us, and so many impossible rows stand on top that
they fill the first page; and where malformed rows fill it. Then they count with the next read of
the window at the latest. Where all times are impossible, as by a clock that is days ahead, the
window grows from the start on, until `REMEMBERED_BY_TIME` bounds it.

With `start: now`, the rows that are there already have to be remembered before others can be
recognised as new: those of all of `longest_call`, which takes many requests. While that goes on, a
row counts when it began after the newest start on the first page, or ended after the newest end
there.

Bounds
------
By id about `REMEMBERED_BY_ID` identities are kept, and `remembered_from` rises. By time it is those
in the ranges to be rechecked, at most `REMEMBERED_BY_TIME`. Beside them identities in unread
ranges are kept, which were bounded when the range became unread. Identities above `newest_key`
(of rows that vanished) are dropped when they are too many; from then on the watermark keeps those
rows from being counted twice. Ranges to be rechecked are at most `recheck_ranges.MAX_RANGES`. The
newest unread range is read first, so a PBX that is never caught up with adds about one a poll;
beyond `MAX_UNREAD_RANGES` the two newest become one, if all between them is remembered.

    ledger          the ledger, and its judgment of a page
    first_ledger    first ledgers, and the change from the order by id to the order by time
    identities      what is remembered, in little memory
    order           the two orders: key, identity and evidence in each
    page            a checked response, and what it is evidence for
    ranges          arithmetic of ranges of keys
    recheck_ranges  what was read and may still bring rows
    watermark       which rows were counted before a break of the lineage
"""

from .first_ledger import (
    from_now,
    from_the_beginning,
    new_table,
    start_by_time,
    without_from,
    without_new_table,
)
from .ledger import (
    REMEMBERED_BY_ID,
    REMEMBERED_BY_TIME,
    KnownTable,
    Ledger,
    LedgerLimits,
    PageVerdict,
)
from .ranges import Range, count_keys

__all__ = [
    "REMEMBERED_BY_ID",
    "REMEMBERED_BY_TIME",
    "KnownTable",
    "Ledger",
    "LedgerLimits",
    "PageVerdict",
    "Range",
    "count_keys",
    "from_now",
    "from_the_beginning",
    "new_table",
    "start_by_time",
    "without_from",
    "without_new_table",
]
