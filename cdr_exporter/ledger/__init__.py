"""Which rows are new: every row counted once, whatever page it comes on. Pure: *now* is told.

Rule 1: a key is done with only when a valid response spanned it. What no response has spanned is
a hole, and holes are kept until they are read, over restarts too.
Rule 2: judging changes nothing. `judge` returns another ledger, which holds from the commit on,
so that a page is counted and remembered together or not at all.
Rule 3: nothing is counted of a page before it is known to be of our table.

How it works
------------
The list is read newest first, in one order: by id, or by start (see `order`). A row's place is
its *key*, what tells it from all others its *identity*. One response is one consistent slice of
the sorted table, so it is *evidence* for the range of keys it spans: what is not in it does not
exist now. The first page is evidence for everything above its top row too, the last one for
everything below its lowest. Which one is the last `total_number` tells; where it tells none, or
too many rows for ever, several reads together do (see `ending`).

    keys   0 ........ floor ............................ high
           covered,    covered, and the identity of       above: nothing was
           or a hole   every row done with remembered     there at the last look

A row is done with when its identity is remembered, and skipped. Any other row counts when its key

1. is `floor` or higher: the table grew there, or the row turned up late (its writer was slower
   than that of a higher id), or it was given the id of a deleted row;
2. lies in a hole: what nobody has read yet;
3. lies in a gap: what was read, and may still bring rows (see `recheck`).

What is below `floor` in no hole and no gap was counted, or lay before the start. So reading a
page twice is always harmless. Rows that moved down by insertions come twice and are remembered.
Rows that moved up by deletions are in no response, so their keys stay a hole and are read again.
A crash at any point leaves the ledger of the last committed page, whose holes say what is left.

Joining
-------
A first page with a row that is remembered is of our table, and what lies below it was read
before. One without (many rows are new, after an outage; or the table is another one) is judged
only once a remembered row from `floor` up, the *anchor*, was found further down. `search`
finds it by binary search, `judge` then makes a hole between anchor and page. So an outage and a
backup that was put back are the same: what lies above the newest row we know is read, and what
of it is not remembered is counted. Identities of rows that vanished by that are kept, for they
may come back.

Where no anchor is found, it is not the table we know (reset, an old backup, another PBX behind
the address). Nothing is counted. Seen in two polls in a row, with a row in common, it is a break
of lineage: `broken` begins anew, and the `watermark` leaves out what ended before.

Order by time
-------------
Where rows have no id, the same holds with the start of a call as key. Since a row turns up at
its *end*, the last `longest_call` seconds are always a gap, read again every few minutes, and
every identity in it is remembered. `floor` follows it. The rows of one second stand in no order
that holds from one answer to the next: a second is read when one answer has all of it, from a
row above it to one below. What was counted by id before is told by the ledger that counted it,
kept as `before`.

With a start at now, what is there has to be remembered before anything else is: all of
`longest_call`, which takes a while. Meanwhile a row counts when it began after the newest start
of the first page, or ended after the newest end on it.

Bounds
------
By id `REMEMBERED_BY_ID` identities are kept (and `floor` rises), by time those of the gap,
`REMEMBERED_BY_TIME`
at most; beside them those that lie in holes, which were no more when the hole was made.
Identities above `high` are given up when they are too many; then the watermark stands in for
them. Gaps are `gaps.MOST` at most. Holes grow by one a poll at most, and the newest are read
first; from `MOST_UNREAD` on, neighbours become one.

    ledger      the ledger and its judgment of a page
    beginnings  first ledgers, the change of order, the break
    sounding    the search for the anchor
    gaps ranges watermark   its parts
"""

from .first_ledger import from_now, from_the_beginning, start_by_time
from .ledger import REMEMBERED_BY_ID, REMEMBERED_BY_TIME, Ledger, LedgerLimits, PageVerdict
from .ranges import Range, count_keys

__all__ = [
    "REMEMBERED_BY_ID",
    "REMEMBERED_BY_TIME",
    "Ledger",
    "LedgerLimits",
    "PageVerdict",
    "Range",
    "count_keys",
    "from_now",
    "from_the_beginning",
    "start_by_time",
]
