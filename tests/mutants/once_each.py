"""Bugs in what counts every row once: ledger, plan, tail, state, store."""

from __future__ import annotations

from .mutant import Mutant

LEDGER = "cdr_exporter/ledger/ledger.py"
GAPS = "cdr_exporter/ledger/recheck_ranges.py"
SOUNDING = "cdr_exporter/tail/anchor_search.py"
WATERMARK = "cdr_exporter/ledger/watermark.py"
BEGINNINGS = "cdr_exporter/ledger/first_ledger.py"
PAGING = "cdr_exporter/ledger/page.py"
ORDER = "cdr_exporter/ledger/order.py"
ORDER_BY_FIELD = "cdr_exporter/tail/missing_ids.py"
WALK = "cdr_exporter/tail/read_plan.py"
ENDING = "cdr_exporter/tail/end_of_list.py"

UNIT = ("tests/ledger/test_ledger.py",)
LINEAGE = ("tests/tail/test_lineage.py",)
BY_TIME = ("tests/tail/test_by_time.py",)
END = ("tests/tail/test_end_of_list.py",)
MODEL = ("tests/test_exactly_once.py::TestQuickly",)
STATE = ("tests/test_faults_state.py",)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "the page is published before it is committed, and stays so where that fails",
        "cdr_exporter/store/store.py",
        "        try:\n            with self._transaction():\n                ledgers.write",
        "        self.totals = totals\n"
        "        try:\n            with self._transaction():\n                ledgers.write",
        ("tests/store/test_store.py", *STATE),
    ),
    Mutant(
        "ledger and totals are committed one after the other",
        "cdr_exporter/store/store.py",
        "                written = self._write_series(totals)\n",
        '                self._db.execute("COMMIT")\n'
        '                self._db.execute("BEGIN IMMEDIATE")\n'
        "                written = self._write_series(totals)\n",
        ("tests/store/test_store.py", *STATE),
    ),
    Mutant(
        "the fingerprint is the same for every row",
        "cdr_exporter/cdr/record.py",
        "        return zlib.crc32(text.encode()) << 31 | self.started_at & THIRTY_ONE_BITS\n",
        "        return len(text) * 0\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "what was remembered is not skipped",
        LEDGER,
        " if not self.remembers(row, now)]\n",
        "]\n",
        UNIT,
    ),
    Mutant(
        "any first page is believed to be of our table",
        LEDGER,
        "        return any(map(self.recognises, rows))\n",
        "        return True\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "an anchor is a row that was only just seen",
        SOUNDING,
        "        known = [row for row in page.rows if self._ledger.recognises(row)]\n",
        "        known = list(page.rows)\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "nobody looks for an anchor below a first page of strange rows",
        "cdr_exporter/tail/lineage.py",
        "        while not search.done:\n",
        "        while False:\n",
        ("tests/poller/test_poller.py::test_an_outage_is_caught_up_once", *LINEAGE),
    ),
    Mutant(
        "no wanted is made down to the anchor",
        LEDGER,
        "        if page.lowest <= anchor:\n",
        "        if page.lowest:\n",
        UNIT,
    ),
    Mutant(
        "the last page is no evidence for what is below it",
        PAGING,
        "        return (0 if self.last else lowest, MAX_ID if self.first else top)\n",
        "        return (lowest, MAX_ID if self.first else top)\n",
        UNIT,
    ),
    Mutant(
        "a first page is no evidence for what is above it",
        PAGING,
        "        return (0 if self.last else lowest, MAX_ID if self.first else top)\n",
        "        return (0 if self.last else lowest, top)\n",
        UNIT,
    ),
    Mutant(
        "a page closes every wanted above it, and not only what it spans",
        LEDGER,
        "        left = without(unread, *page.evidence) if page.top else unread\n",
        "        left = without(unread, page.lowest, 2**63) if page.top else unread\n",
        UNIT,
    ),
    Mutant(
        "an empty page closes all unread",
        LEDGER,
        "        left = without(unread, *page.evidence) if page.top else unread\n",
        "        left = without(unread, *page.evidence)\n",
        UNIT,
    ),
    Mutant(
        "a page that is not sorted is taken",
        PAGING,
        "        if any(map(le, ids, ids[1:])):\n",
        "        if False:\n",
        UNIT,
    ),
    Mutant(
        "windows without overlap",
        PAGING,
        "if again >= overlap else 0\n",
        "if again == 0 else 0\n",
        (
            "tests/poller/test_poller.py::"
            "test_rows_deleted_at_both_ends_before_every_answer_lose_no_other",
            "tests/poller/test_poller.py::test_a_poll_reads_little_more_than_what_is_new",
            *BY_TIME,
        ),
    ),
    Mutant(
        "the floor is ignored",
        LEDGER,
        "        if rows and key(rows[-1]) >= floor:\n            return rows\n",
        "        if rows:\n            return rows\n",
        UNIT,
    ),
    Mutant(
        "the floor does not rise with what is forgotten",
        LEDGER,
        "        floor = live[0] if live else self.remembered_from\n",
        "        floor = self.remembered_from\n",
        (*UNIT, *MODEL),
    ),
    Mutant(
        "rows that turn up late are ignored",
        LEDGER,
        "        fresh = self._fresh(open_rows, now)\n",
        "        fresh = self._fresh(inside(open_rows, unread, self.order.key), now)\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "a gap is forgotten by the clock, without a read",
        GAPS,
        "    ripe = [gap for gap in recheck if not 0 <= now - gap.read < every]\n",
        "    ripe = [gap for gap in recheck if 0 <= now - gap.since < 2 * every]\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "a gap is forgotten by its first read",
        LEDGER,
        "    return each.read == now and now - each.since >= late_window\n",
        "    return each.read == now\n",
        UNIT,
    ),
    Mutant(
        "a late row leaves its gap open",
        LEDGER,
        "            kept = recheck_ranges.cut(kept, row_id, row_id)\n",
        "            kept = tuple(kept)\n",
        UNIT,
    ),
    Mutant(
        "recheck are not read after a start",
        "cdr_exporter/store/ledger_rows.py",
        "        recheck=tuple(RecheckRange(*gap) for gap in said.recheck),\n",
        "        recheck=tuple(RecheckRange(*gap, read=float(gap[2])) for gap in said.recheck),\n",
        LINEAGE,
    ),
    Mutant(
        "the newest key does not follow a backup that was put back",
        LEDGER,
        "        high = top if page.first and top else max(self.newest_key, top)\n",
        "        high = max(self.newest_key, top)\n",
        (*UNIT, *MODEL),
    ),
    Mutant(
        "identities above the newest key are forgotten at once",
        LEDGER,
        "            remembered={**self.remembered, **seen} if seen else self.remembered,\n",
        "            remembered={\n"
        "                each: key\n"
        "                for each, key in {**self.remembered, **seen}.items()\n"
        "                if key <= high\n"
        "            },\n",
        UNIT,
    ),
    Mutant(
        "no watermark after a break",
        WATERMARK,
        "        return replace(self, broken_at=self.newest if at is None else at)\n",
        "        return self\n",
        (*UNIT, *LINEAGE),
    ),
    Mutant(
        "a row from the future sets the watermark",
        WATERMARK,
        "        if newest <= now + _FUTURE:\n",
        "        if newest:\n",
        UNIT,
    ),
    Mutant(
        "a strange table is believed at once",
        "cdr_exporter/tail/lineage.py",
        "        if not rows & self._seen:\n",
        "        if False:\n",
        LINEAGE,
    ),
    Mutant(
        "a strange table is believed the second time, though it is not the same",
        "cdr_exporter/tail/lineage.py",
        "        if not rows & self._seen:\n",
        "        if not self._seen:\n",
        LINEAGE,
    ),
    Mutant(
        "our own table between two strange ones does not clear the suspicion",
        "cdr_exporter/tail/lineage.py",
        "        if ledger.knows(head):\n            self.forget()\n",
        "        if ledger.knows(head):\n",
        LINEAGE,
    ),
    Mutant(
        "an empty list between two strange ones does not clear the suspicion",
        "cdr_exporter/tail/tail.py",
        "        self._lineage.forget()\n",
        "        self._lineage.join\n",
        LINEAGE,
    ),
    Mutant(
        "a catch-up's wanted goes down to id 0",
        LEDGER,
        "        lowest = anchor if self.order.by_time else anchor + 1\n",
        "        lowest = 0\n",
        (*UNIT, *MODEL),
    ),
    Mutant(
        "the anchor's second is done with by time",
        LEDGER,
        "        lowest = anchor if self.order.by_time else anchor + 1\n",
        "        lowest = anchor + 1\n",
        UNIT,
    ),
    Mutant(
        "by time, the second at a page's end is done with",
        ORDER,
        "        return (lowest + 1, top - 1) if self.by_time else (lowest, top)\n",
        "        return (lowest, top)\n",
        UNIT,
    ),
    Mutant(
        "pages cut after so many rows end a list",
        ENDING,
        "        return len(self._lengths) > 1 or self._end <= 2\n",
        "        return True\n",
        END,
    ),
    Mutant(
        "nobody looks below what seems to be the end of a list",
        ENDING,
        "        return self._nothing_at is not None and self._are_unlike\n",
        "        return self._are_unlike\n",
        END,
    ),
    Mutant(
        "a list that hides some rows ends above them",
        ENDING,
        " and not (self.distrusts_total and self._nothing_at_total):\n",
        " and not self.distrusts_total:\n",
        END,
    ),
    Mutant(
        "what was looked for below the end is believed after rows were deleted above it",
        ENDING,
        "            self._nothing_at = None\n        self._end = end\n",
        "            pass\n        self._end = end\n",
        END,
    ),
    Mutant(
        "a list that ends too early for a moment is believed",
        ENDING,
        "        self.distrusts_total = False\n",
        "        self.distrusts_total = True\n",
        (
            *END,
            "tests/poller/test_poller.py::"
            "test_a_list_that_seems_to_end_too_early_for_a_moment_loses_nothing",
        ),
    ),
    Mutant(
        "a total that is too large keeps a first read going for ever",
        WALK,
        "        self._end_of_list.distrusts_total = True\n",
        "",
        (
            "tests/poller/test_poller.py::"
            "test_a_total_that_is_too_large_for_ever_does_not_keep_a_first_read_from_its_end",
        ),
    ),
    Mutant(
        "the end is not made sure of where a window is read again",
        WALK,
        "        if not unread and not due:\n",
        "        if not unread:\n",
        (
            "tests/tail/test_by_time.py::"
            "test_the_window_is_read_again_to_the_end_of_a_list_whose_total_does_not_tell_it",
        ),
    ),
    Mutant(
        "by time, no more is asked for of a second than an ordinary page holds",
        WALK,
        "        self._crowds[wanted[1]] = min(MAX_PAGE_SIZE, max(rows, self._largest, known))\n",
        "        self._crowds[wanted[1]] = self._largest\n",
        ("tests/tail/test_by_time.py::test_a_pbx_that_is_slow_is_asked_for_all_of_a_second_too",),
    ),
    Mutant(
        "what is asked for of a crowded second does not shrink when it times out",
        WALK,
        "        self._crowds = {high: rows * 3 // 4 for high, rows in self._crowds.items()}\n",
        "        self._crowds = dict(self._crowds)\n",
        (
            "tests/tail/test_by_time.py::"
            "test_of_a_crowded_second_no_more_is_asked_for_than_the_pbx_can_send_in_time",
        ),
    ),
    Mutant(
        "by time, no second is read again",
        LEDGER,
        "        return recheck_ranges.tidy("
        "[*kept, *(RecheckRange(low, high, 0, now) for low, high in newly)])\n",
        "        return kept\n",
        (*UNIT, *BY_TIME),
    ),
    Mutant(
        "by time, what was counted by id counts again",
        LEDGER,
        "        return self.id_ledger is not None and isinstance(row, Record)"
        " and self.id_ledger.has(row, now)\n",
        "        return False\n",
        (*UNIT, *BY_TIME),
    ),
    Mutant(
        "the order by time is forgotten at a restart",
        "cdr_exporter/store/ledger_rows.py",
        "        order=ORDER_BY_FIELD[said.order],\n",
        '        order=ORDER_BY_FIELD["id"],\n',
        BY_TIME,
    ),
    Mutant(
        "rows without ids are never looked for",
        ORDER_BY_FIELD,
        "            rows = self._due(head)\n",
        "            rows = 0\n",
        (
            "tests/tail/test_by_time.py::"
            "test_start_now_on_an_empty_pbx_counts_its_first_calls_though_they_have_no_id",
        ),
    ),
    Mutant(
        "seldom rows without id are left to chance",
        ORDER_BY_FIELD,
        "        if head.total is None:\n            return False\n        grown",
        "        if True:\n            return False\n        grown",
        ("tests/tail/test_by_time.py::test_seldom_rows_without_id_on_a_busy_pbx_are_all_counted",),
    ),
    Mutant(
        "a row that is never shown is searched for again and again",
        ORDER_BY_FIELD,
        "        if grown and not found:\n            self._unnamed = self._measured(head)\n",
        "",
        (
            "tests/tail/test_by_time.py::"
            "test_rows_that_are_counted_and_never_shown_cost_little_and_hide_no_others",
        ),
    ),
    Mutant(
        "every poll of a busy PBX looks for rows without id",
        ORDER_BY_FIELD,
        "            return ago >= _OFTEN\n",
        "            return True\n",
        ("tests/tail/test_by_time.py::test_looking_for_rows_without_id_keeps_to_the_budget",),
    ),
    Mutant(
        "a clock that was ahead moves the window when the order changes",
        BEGINNINGS,
        "max(0, min(last, int(now)) - int(terms.longest_call))\n",
        "max(0, last - int(terms.longest_call))\n",
        (
            "tests/tail/test_by_time.py::"
            "test_a_clock_that_was_hours_ahead_once_does_not_hide_rows_when_the_order_changes",
        ),
    ),
    Mutant(
        "start: now by time counts what was there",
        LEDGER,
        "self._since_start(fresh, self.newest_at_start or page.top, now), []\n",
        "fresh, []\n",
        (*UNIT, *BY_TIME),
    ),
    Mutant(
        "start: now by time leaves out what ends during its first read",
        LEDGER,
        "if key(row) > newest or mark.passed_by(row, now)]\n",
        "if key(row) > newest]\n",
        (
            "tests/tail/test_by_time.py::"
            "test_start_now_by_time_counts_a_call_that_began_before_and_ends_in_the_first_read",
        ),
    ),
    Mutant(
        "start: now by time hides rows after its first read, too",
        LEDGER,
        '            watermark=mark if left or self.first_read != "now" else mark.whole(),\n',
        "            watermark=mark,\n",
        (
            "tests/tail/test_by_time.py::"
            "test_start_now_by_time_hides_nothing_later_of_a_pbx_whose_clock_is_set_back",
        ),
    ),
    Mutant(
        "the first calls of an empty PBX lie before the start where they have no id",
        BEGINNINGS,
        '        mark = mark.broken(empty_at) if start == "now" else mark\n',
        '        mark = mark.broken() if start == "now" else mark\n',
        (
            "tests/tail/test_by_time.py::"
            "test_start_now_on_an_empty_pbx_counts_its_first_calls_though_they_have_no_id",
        ),
    ),
    Mutant(
        "a row of a wrong clock that lies before the start counts when the order changes",
        LEDGER,
        "        told = self.watermark.reaches(row) or is_ahead(row, now)\n",
        "        told = self.watermark.reaches(row)\n",
        (
            "tests/tail/test_by_time.py::"
            "test_a_row_from_before_the_start_with_a_clock_years_ahead_is_not_counted_by_time",
        ),
    ),
    Mutant(
        "a process that was killed begins at the first page again",
        "cdr_exporter/store/ledger_rows.py",
        "        unread=said.unread,\n",
        "        unread=(),\n",
        ("tests/poller/test_poller.py::test_a_process_killed_in_a_catch_up_goes_on_where_it_was",),
    ),
    Mutant(
        "shown before the unread are read",
        "cdr_exporter/tail/tail.py",
        "        if not moving and not self._state.unread:\n",
        "        if True:\n",
        ("tests/test_publication.py", "tests/poller/test_poller.py"),
    ),
)
