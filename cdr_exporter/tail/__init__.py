"""Which page to read next: follows the table of one PBX.

`ledger` decides which rows of a page are new, and is right whatever page it is given. This room
decides which page to ask for, and so only how soon a row is counted and what that costs the PBX.

One poll
--------
`Tail.follow` is one poll. It yields what follows for the state (`ingest.events`), and its caller
commits that before it takes the next step. The steps:

1. Read the first page, in the order by id unless the ledger is by time.
2. Does this list show every row? `MissingIdDetector` now and then looks at the newest rows by time
   and at those of the new table. If some rows have no id, the list is followed by time from here
   on, and the first page is read again in that order. See 9 for rows that only the new table has.
3. An empty first page says nothing: a PBX that is starting answers so. The poll ends, and open
   calls wait for the next row.
4. Without a ledger this is the first start, and the first page begins one.
5. Is it the table we know? `LineageCheck` looks for an anchor, a row that we remember, on the
   first page or further down. Where there is none, nothing is counted and the poll ends; if the
   next poll finds the same, a new lineage begins.
6. Judge the first page (`Ledger.judge`) and yield it: it is counted, committed and published.
7. Read the unread ranges, newest first, page by page; each page is counted as in 6.
8. Read the ranges to be rechecked that are due, those first that have waited longest. By time,
   before that: read down to where the oldest call began that only waits for this, to be over; and
   read down until the rows are found that `total_number` counts and no page has shown
   (`UnseenRows`). What the time of a poll does not suffice for goes on in the next.
9. If the new table (`from=new`) has rows that the list does not show, and nothing of the list is
   unread or was not rechecked since the start: follow the new table by time from here on, and read
   it as in 6 to 8. Only at a first start with `start: now` is it followed at once.
10. Yield the end of the poll: if nothing is unread any more, the calls that are over count, and
   from then on calls are shown.

Steps 7 and 8 end with the poll's time. Then the poll returns True and the next one follows at
once, since there is more to be read; for rechecks only until each was read once since the start.

Where a range is read
---------------------
A range begins at a *position* in the list (0 is the newest row). `ReadPlan` knows it from the pages
read so far; else the number of remembered rows above the range is taken for it; else it is found by
binary search, with single rows. Then `page_size` chooses the page that brings the most new rows for
what it costs the PBX. When two reads of a range brought nothing, the positions are forgotten and
it is searched for anew: a range to be rechecked at once, an unread one in the next poll, which
fails as `garbled` if that brings nothing either. By time, so does one in which a range to be
rechecked is given up again: its calls may be in a second of which no page holds all.

Rows that are too large
-----------------------
An answer may be so long and no longer. One row can be longer, and then every page with it. So each
page that is too large is read in parts around the row, and the row is rejected: see
`oversized_rows`. Nothing but `page_reader` knows of it; to all others it is one page.

    tail            the steps of one poll, and the first start
    followed_list   1 to 5, 9: is it our table, and which of its lists is followed from when on?
    missing_ids     2, 9: are there rows that the list does not show?
    lineage         5: is it the table we know? Reads through `anchor_search`
    anchor_search   5: where is the nearest row that we remember?
    range_reader    7, 8: reads ranges page by page, and judges each page
    sweeps          8, by time: what is read again before its time
    read_plan       7, 8: which page holds a range?
    page_size       7, 8: how many rows to ask for at a position
    unseen_rows     8: does `total_number` count rows that no page has shown?
    end_of_list     7, 8: which page is the last one, where `total_number` does not say?
    page_reader     all: one request at a time, checked and its cost noted
    oversized_rows  all: how a page is read around rows that are too large

What may be forgotten
---------------------
Everything here is forgotten with the process, and no row is counted twice for it. `ReadPlan`, with
its `EndOfList` and `UnseenRows`, and `OversizedPlaces` (positions, sizes, totals) may be forgotten
at any time: that costs requests. Without the first sight of another table (`LineageCheck`) it takes
two polls more to be confirmed. Two things are wanted once, and better not forgotten before: when a
look last showed ids only (`MissingIdDetector.all_had_ids_at`, and `all_shown_at` for the new
table), without which rows without id may be looked for less far back where a clock was wrong; and
that the list was seen empty before the first row (`FollowedList`), without which the first rows
with `start: now` count as there before.

What must not be forgotten is in the ledger, which is committed with the counts: which rows are
processed, and what is unread. No ledger may take its place but one that `Ledger.judge`,
`Ledger.new_lineage` or a function of `first_ledger` made of it.
"""

from .tail import Tail

__all__ = ["Tail"]
