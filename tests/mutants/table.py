"""The deliberate bugs, one or two for each promise. *old* is as short as it can be and be found.

A name says which promise the bug breaks; the test is the narrowest one that finds it.
"""

from __future__ import annotations

from .mutant import Mutant

_LEDGER = "cdr_exporter/ledger/ledger.py"
_TAIL = "cdr_exporter/tail/tail.py"
_LINEAGE_CHECK = "cdr_exporter/tail/lineage.py"
_END_OF_LIST = "cdr_exporter/tail/end_of_list.py"
_OVERSIZED_ROWS = "cdr_exporter/tail/oversized_rows.py"
_OVERSIZED_TESTS = "tests/tail/test_oversized_rows.py"
_PAGE_READER = "cdr_exporter/tail/page_reader.py"
_MISSING_IDS = "cdr_exporter/tail/missing_ids.py"
_STORE = "cdr_exporter/store/file_store.py"
_STATE = "cdr_exporter/ingest/pbx_state.py"
_FOLLOWED_LIST = "cdr_exporter/tail/followed_list.py"
_SWEEPS = "cdr_exporter/tail/sweeps.py"
_STATE_TESTS = "tests/ingest/test_pbx_state.py"
_WHOLE_CHANGE = "test_an_event_leaves_the_state_as_it_was_and_its_change_is_all_that_a_store_needs"
_CHECKED_ROWS = "cdr_exporter/store/checked_rows.py"
_FILE_ROWS = "cdr_exporter/store/file_rows.py"
_REPLACED = "tests/store/test_replaced_files.py"
_SET_ASIDE = "tests/store/test_set_aside.py"
_DATABASE_STORE = "cdr_exporter/store/database_store.py"
_STATE_MOVING_TESTS = "tests/commands/test_state_moving.py"
_DATABASE_STORE_TESTS = "tests/store/test_database_store.py"
_LEDGER_ROWS = "cdr_exporter/store/ledger_rows.py"
_OPEN_CALLS = "cdr_exporter/calls/open_calls.py"
_WATERMARK = "cdr_exporter/ledger/watermark.py"
_HTTP_ADAPTER = "cdr_exporter/pbx/http_adapter.py"
_PBX_CONNECTION = "cdr_exporter/pbx/connection.py"
_SOCKETS = "tests/pbx/test_transport.py"
_WRONG_CLOCKS = "tests/poller/test_wrong_clocks.py"
_INSPECTION = "cdr_exporter/store/inspection.py"
_STATE_COMMAND_TESTS = "tests/commands/test_state.py"
_JUMPING_CLOCKS = "tests/poller/test_jumping_clocks.py"
_MEASURE = "cdr_exporter/exposition/measure.py"
_MEASURE_TESTS = "tests/exposition/test_measure.py"
_TREE_TEST = "test_a_tree_has_the_measure_of_the_whole_text_after_any_changes"
_PAGES = "cdr_exporter/exposition/pages.py"
_PAGE_TESTS = "tests/exposition/test_changes.py"
_AHEAD_TESTS = "tests/exposition/test_render_ahead.py"


def _in(file: str, test: str) -> tuple[str]:
    return (f"{file}::{test}",)


EACH_ROW_COUNTS_ONCE = (
    Mutant(
        "a small table that grows during the search is taken for another one",
        "cdr_exporter/tail/anchor_search.py",
        "self._end = max(self._end, page.total // BLOCK_ROWS + 1)",
        "pass",
        _in(
            "tests/tail/test_growing_small_table.py",
            "test_rows_that_come_while_the_known_ones_are_searched_make_no_other_table",
        ),
    ),
    Mutant(
        "what was remembered counts again",
        _LEDGER,
        "if not self.is_processed(row, now)",
        "",
        _in("tests/ledger/test_ledger.py", "test_a_page_read_twice_brings_nothing_new"),
    ),
    Mutant(
        "two rows that began in one second are taken for the same",
        "cdr_exporter/cdr/record.py",
        "return zlib.crc32(",
        "return 0 * zlib.crc32(",
        _in("tests/ledger/test_ledger.py", "test_a_late_row_and_a_reused_id_are_counted_as_such"),
    ),
    Mutant(
        "what was forgotten counts again",
        _LEDGER,
        "max([self.remembered_from, *present_keys[:1]])",
        "self.remembered_from",
        _in(
            "tests/ledger/test_ledger.py",
            "test_remembered_rows_are_bounded_and_the_oldest_are_forgotten",
        ),
    ),
    Mutant(
        "pruning remembers rows that it forgot before",
        _LEDGER,
        "max([self.remembered_from, *present_keys[:1]])",
        "present_keys[0] if present_keys else self.remembered_from",
        _in(
            "tests/ledger/test_ledger.py",
            "test_pruning_never_claims_to_remember_what_it_has_forgotten",
        ),
    ),
    Mutant(
        "rows that turn up late are ignored",
        _LEDGER,
        "self._new_rows(candidates, now)",
        "self._new_rows(rows_in(candidates, unread, self.order.key), now)",
        _in("tests/ledger/test_ledger.py", "test_a_row_that_turns_up_between_others_counts_once"),
    ),
    Mutant(
        "what may bring late rows is read just once",
        _LEDGER,
        "is_old = each.last_read == now and now - each.missing_since >= late_window",
        "is_old = each.last_read == now",
        _in(
            "tests/ledger/test_ledger.py",
            "test_a_range_to_recheck_is_dropped_only_by_a_read_and_only_when_it_is_old",
        ),
    ),
    Mutant(
        "what may bring late rows is not read after a start",
        _LEDGER_ROWS,
        "RecheckRange(*each) for each in facts.recheck",
        "RecheckRange(*each, last_read=float(each[2])) for each in facts.recheck",
        _in(
            "tests/tail/test_lineage.py",
            "test_ranges_to_recheck_are_read_after_a_start_before_anything_is_shown",
        ),
    ),
    Mutant(
        "what lies between a first page and the rows known is not read",
        _LEDGER,
        "if page.lowest <= anchor",
        "if page.lowest",
        _in(
            "tests/ledger/test_ledger.py",
            "test_what_lies_above_the_anchor_is_read_and_counted_once",
        ),
    ),
    Mutant(
        "a page proves that all above it was read",
        _LEDGER,
        "subtract(unread, *page.evidence)",
        "subtract(unread, page.lowest, 2**63)",
        _in("tests/ledger/test_ledger.py", "test_the_second_at_a_pages_end_stays_unread"),
    ),
    Mutant(
        "an empty page proves that all was read",
        _LEDGER,
        "*page.evidence) if page.highest else unread",
        "*page.evidence)",
        _in("tests/ledger/test_ledger.py", "test_an_empty_answer_is_evidence_for_nothing"),
    ),
    Mutant(
        "pages do not overlap",
        "cdr_exporter/tail/page_size.py",
        "if reread >= overlap",
        "if reread == 0",
        _in(
            "tests/poller/test_short_lists.py",
            "test_a_list_that_seems_to_end_too_early_for_a_moment_loses_nothing",
        ),
    ),
)

LINEAGE = (
    Mutant(
        "any first page is believed to be of our table",
        _LEDGER,
        "bool(self.known_keys(page))",
        "True",
        _in("tests/ledger/test_ledger.py", "test_a_first_page_is_known_by_half_of_its_rows"),
    ),
    Mutant(
        "another table is believed at once",
        _LINEAGE_CHECK,
        "if not rows & self._unknown_rows",
        "if False",
        _in("tests/tail/test_lineage.py", "test_the_first_sight_of_another_table_counts_nothing"),
    ),
    Mutant(
        "after an outage the rows known are not looked for below the first page",
        _LINEAGE_CHECK,
        "while not search.done",
        "while False",
        _in(
            "tests/tail/test_lineage.py",
            "test_a_backup_from_before_anything_we_remember_doubles_nothing",
        ),
    ),
    Mutant(
        "any row is taken for one that is known",
        "cdr_exporter/tail/anchor_search.py",
        "known = self._ledger.known_keys(page)",
        "known = page.keys",
        _in("tests/ledger/test_ledger.py", "test_of_another_table_nothing_is_found"),
    ),
    Mutant(
        "the newest row alone decides how far new rows are looked for",
        "cdr_exporter/ledger/page.py",
        "return keys[HALF_A_FIRST_PAGE - 1]",
        "return keys[0]",
        _in(
            "tests/poller/test_outliers.py",
            "test_ids_that_pass_nine_outliers_between_two_polls_lose_no_row_below_them",
        ),
    ),
    Mutant(
        "rows below an outlier are called late",
        _LEDGER,
        "others = _close_below(others, ids) if others else []",
        "",
        _in(
            "tests/poller/test_outliers.py",
            "test_a_late_row_below_an_outlier_is_found_and_no_other_is_called_late",
        ),
    ),
    Mutant(
        "missing ids below the newest row are rechecked for late_window only",
        _LEDGER,
        "return is_old and above >= FIRST_PAGE_ROWS",
        "return is_old",
        _in(
            "tests/poller/test_outliers.py",
            "test_a_late_row_below_an_outlier_is_found_and_no_other_is_called_late",
        ),
    ),
    Mutant(
        "a single row shows that it is the table we know",
        _LEDGER,
        "if not one_is_enough and 2 * len(known) < len(page.keys)",
        "if not known",
        _in(
            "tests/poller/test_outliers.py",
            "test_an_older_backup_that_keeps_the_outlier_is_another_table",
        ),
    ),
    Mutant(
        "a rejected row that turns up late is not noticed",
        _LEDGER,
        "open_ranges = [*unread, *recheck_ranges.spans(self.recheck)]",
        "open_ranges = [*unread]",
        _in(
            "tests/ledger/test_ledger.py",
            "test_a_rejected_row_that_turns_up_late_below_what_is_remembered_is_rejected_once",
        ),
    ),
    Mutant(
        "missing ids that are rechecked already are noted again",
        _LEDGER,
        "newly_read = subtract(newly_read, *each.span())",
        "pass",
        _in(
            "tests/ledger/test_ledger.py",
            "test_ids_missing_below_the_newest_rows_are_noted_once_though_read_in_each_poll",
        ),
    ),
    Mutant(
        "the newest id does not follow a backup that was put back",
        _LEDGER,
        "highest if page.is_first and highest else max(self.newest_key, highest)",
        "max(self.newest_key, highest)",
        _in("tests/ledger/test_ledger.py", "test_after_a_backup_was_put_back_only_new_rows_count"),
    ),
    Mutant(
        "after a break, rows from before it count",
        "cdr_exporter/ledger/watermark.py",
        "break_end=self.newest_end if end is None else end",
        "break_end=self.break_end",
        _in(
            "tests/tail/test_lineage.py",
            "test_rows_of_the_new_table_that_ended_before_are_left_out_and_reported",
        ),
    ),
    Mutant(
        "a row of 2036 moves the watermark",
        _WATERMARK,
        "{end for end in ends if is_possible(end, now)}",
        "set(ends)",
        _in(
            _WRONG_CLOCKS,
            "test_impossible_times_all_over_the_years_do_not_hide_today_after_a_break",
        ),
    ),
    Mutant(
        "rows of a clock that was not set move the watermark",
        _WATERMARK,
        "return EARLIEST <= time <= now + _MAX_LEAD",
        "return time <= now + _MAX_LEAD",
        _in(
            _WRONG_CLOCKS,
            "test_rows_before_2000_that_came_first_do_not_move_the_watermark",
        ),
    ),
    Mutant(
        "after a break, rows of 2036 count again",
        _WATERMARK,
        "merge([*later, *impossible])",
        "()",
        _in(
            _WRONG_CLOCKS,
            "test_after_a_break_rows_with_impossible_times_do_not_count_again",
        ),
    ),
    Mutant(
        "of many impossible ends the newest are forgotten",
        _WATERMARK,
        "merge(ranges, distances[surplus - 1])",
        "tuple(ranges[surplus:])",
        _in("tests/ledger/test_ledger.py", "test_of_many_impossible_ends_the_nearest_are_joined"),
    ),
)

THE_ORDER_CHANGES = (
    Mutant(
        "rows without ids are never looked for",
        _MISSING_IDS,
        "self._found = self._look(rows, first_page, ledger) if rows else None",
        "self._found = None",
        _in(
            "tests/tail/test_by_time.py",
            "test_start_now_on_an_empty_pbx_counts_its_first_calls_though_they_have_no_id",
        ),
    ),
    Mutant(
        "by time, a call waits for the read of the whole window",
        _SWEEPS,
        "if not starts or self._clock.now().steady < self._next_for_calls:",
        "if starts or not starts:",
        _in(
            "tests/tail/test_sweeps.py",
            "test_a_sweep_for_calls_reads_down_to_where_the_oldest_of_them_began_and_no_further",
        ),
    ),
    Mutant(
        "by time, a call does not wait until its legs were looked for",
        "cdr_exporter/calls/open_calls.py",
        "if not self.read_by_start:",
        "if self.read_by_start:",
        _in(
            "tests/tail/test_sweeps.py",
            "test_calls_of_all_lengths_are_counted_whole_and_soon",
        ),
    ),
    Mutant(
        "a large answer is decoded after a stop, too",
        "cdr_exporter/pbx/client.py",
        "if self._transport.cancelled.is_set():",
        "if False:",
        _in(
            "tests/pbx/test_client.py",
            "test_a_large_answer_that_waits_for_others_is_not_decoded_after_a_cancel",
        ),
    ),
    Mutant(
        "the first mistake of a configuration ends its reading",
        "cdr_exporter/config/mistake.py",
        "            self.noted.append(mistake)",
        "            self.noted.append(mistake)\n            raise",
        _in(
            "tests/config/test_config.py",
            "test_all_mistakes_are_told_at_once_in_the_order_of_the_file",
        ),
    ),
    Mutant(
        "what may be a secret is shown as the name of a PBX",
        "cdr_exporter/config/mistake.py",
        "is_odd = name.isdigit() or _LIKE_A_SECRET.search(name)",
        "is_odd = name.isdigit()",
        _in("tests/config/test_config.py", "test_a_pbx_is_named_in_the_path"),
    ),
    Mutant(
        "a call may have any number of legs",
        "cdr_exporter/calls/open_calls.py",
        "if len(call.legs) > MAX_LEGS and uid not in over",
        "if not call.legs and uid not in over",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_a_call_of_too_many_legs_is_counted_as_it_stands",
        ),
    ),
    Mutant(
        "open calls may have any number of legs together",
        "cdr_exporter/calls/open_calls.py",
        "if len(left) > MAX_OPEN_CALLS or legs > MAX_OPEN_LEGS:",
        "if len(left) > MAX_OPEN_CALLS:",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_legs_beyond_the_bound_of_all_are_counted_with_the_calls_seen_longest_ago",
        ),
    ),
    Mutant(
        "a uid is kept as long as other texts",
        "cdr_exporter/cdr/repair.py",
        'longest = LONGEST_UID if name == "uid" else LONGEST_TEXT',
        "longest = LONGEST_TEXT",
        _in("tests/cdr/test_decoding.py", "test_a_text_that_is_not_too_long_is_kept_whole"),
    ),
    Mutant(
        "by time, the first leg that is known is taken for the first",
        "cdr_exporter/calls/uid_time.py",
        "return min(earliest, local - max(self.offsets))",
        "return earliest",
        _in(
            "tests/tail/test_sweeps.py",
            "test_a_call_does_not_count_before_its_first_leg_far_below_was_looked_for",
        ),
    ),
    Mutant(
        "by time, a total that grows by unseen rows tells nothing",
        "cdr_exporter/tail/unseen_rows.py",
        "excess is not None and known is not None and excess > known",
        "False",
        _in(
            "tests/tail/test_sweeps.py",
            "test_a_long_call_that_ends_deep_in_the_list_counts_as_soon_where_the_total_grows",
        ),
    ),
    Mutant(
        "a total that grows by rows that are nowhere is searched for in each poll",
        "cdr_exporter/tail/unseen_rows.py",
        "self._believed_from = steady + self._wait",
        "self._believed_from = steady",
        _in(
            "tests/tail/test_sweeps.py",
            "test_a_total_that_grows_by_rows_that_are_nowhere_is_searched_for_ever_more_rarely",
        ),
    ),
    Mutant(
        "by time, rows of an impossible time on top hide those below",
        _LEDGER,
        "hides = self.order.by_time and page.is_first and not page.is_last",
        "hides = False",
        _in(
            "tests/tail/test_sweeps.py",
            "test_rows_of_an_impossible_time_on_top_delay_no_other_row",
        ),
    ),
    Mutant(
        "by time, one row that is ahead hides a burst of others",
        _LEDGER,
        "is_newest = self.order.by_time and page.highest <= now",
        "is_newest = self.order.by_time",
        _in(
            "tests/poller/test_outliers.py",
            "test_by_time_a_burst_below_rows_that_are_ahead_is_counted_in_one_poll",
        ),
    ),
    Mutant(
        "by time, a first page with one possible time hides the others below it",
        _LEDGER,
        "page.highest and page.lowest <= self.newest_possible",
        "page.newest_possible(now)",
        _in(
            "tests/poller/test_outliers.py",
            "test_by_time_a_burst_below_many_rows_of_an_impossible_time_is_counted_in_one_poll",
        ),
    ),
    Mutant(
        "by time, rows count again that are older than what is remembered",
        _LEDGER,
        "least = min(self.remembered_from, self.newest_key) if by_time else",
        "least = 0 if by_time else",
        _in(
            "tests/poller/test_outliers.py",
            "test_by_time_a_few_calls_in_three_hours_are_counted_once_each",
        ),
    ),
    Mutant(
        "a read that cuts the ranges to be rechecked is committed",
        _LEDGER,
        "return ranges[0] == ranges[1] and self == replace(other, recheck=self.recheck)",
        "return self == other",
        _in(
            "tests/tail/test_sweeps.py",
            "test_a_poll_that_brings_nothing_commits_nothing",
        ),
    ),
    Mutant(
        "the new table is never looked at",
        _MISSING_IDS,
        "page = self._page_of_new_table(rows, ledger)",
        "page = None",
        _in(
            "tests/tail/test_new_table.py",
            "test_an_upgrade_while_it_runs_is_found_and_loses_and_doubles_nothing",
        ),
    ),
    Mutant(
        "the new table is followed though the other list is not read to its end",
        _FOLLOWED_LIST,
        "return not state.unread and (state.all_rechecked or not first_page.size)",
        "return True",
        _in(
            "tests/tail/test_new_table.py",
            "test_the_new_table_waits_until_the_legacy_one_was_read",
        ),
    ),
    Mutant(
        "a baseline ends with the legacy table",
        _LEDGER,
        "still_unread or self.first_read == ALL_OF_BOTH",
        "still_unread",
        _in(
            "tests/tail/test_new_table.py",
            "test_a_baseline_of_both_tables_survives_being_killed",
        ),
    ),
    Mutant(
        "a new table that is gone is waited for for ever",
        _FOLLOWED_LIST,
        "return FirstPage(other, self._leave_new_table(ledger) if other.size else ledger)",
        "return FirstPage(page or other, ledger)",
        _in(
            "tests/tail/test_new_table.py",
            "test_a_new_table_that_goes_for_a_while_loses_and_doubles_nothing",
        ),
    ),
    Mutant(
        "of a new table that is gone, what is unread is given up",
        _FOLLOWED_LIST,
        """        if ledger.unread:
            raise TryAgain(
                "the PBX shows its new""",
        """        if not ledger:
            raise TryAgain(
                "the PBX shows its new""",
        _in(
            "tests/tail/test_new_table.py",
            "test_what_is_unread_of_a_new_table_that_goes_is_said_and_read_once_it_is_back",
        ),
    ),
    Mutant(
        "what was counted by id counts again by time",
        _LEDGER,
        "self.id_ledger.was_processed_by_id(row, now)",
        "False",
        _in("tests/ledger/test_ledger.py", "test_what_was_counted_by_id_is_not_counted_by_time"),
    ),
    Mutant(
        "by time, the second at the end of a page is done with",
        "cdr_exporter/ledger/order.py",
        "(lowest + 1, highest - 1) if self.by_time else (lowest, highest)",
        "(lowest, highest)",
        _in("tests/ledger/test_ledger.py", "test_the_second_at_a_pages_end_stays_unread"),
    ),
    Mutant(
        "by time, no second is read again",
        _LEDGER,
        "[*kept, *(RecheckRange(low, high, 0, now) for low, high in newly_read)]",
        "kept",
        _in(
            "tests/tail/test_by_time.py",
            "test_a_long_call_that_ends_among_older_ones_is_counted_within_minutes",
        ),
    ),
    Mutant(
        "by time, what was there at a start from now counts",
        _LEDGER,
        "self._since_start(new_rows, self.newest_at_start or page.highest, now),",
        "new_rows,",
        _in(
            "tests/ledger/test_ledger.py",
            "test_by_time_start_now_reads_back_a_longest_call_and_counts_nothing_of_it",
        ),
    ),
    Mutant(
        "a restart forgets that the list is read by time",
        _LEDGER_ROWS,
        "ORDER_BY_NAME[facts.order]",
        'ORDER_BY_NAME["id"]',
        _in(
            "tests/tail/test_by_time.py",
            "test_a_restart_by_time_changes_nothing_and_goes_on_by_time",
        ),
    ),
)

THE_LIST_ENDS = (
    Mutant(
        "nobody looks below what seems to be the end of a list",
        _END_OF_LIST,
        "return self._is_empty_below",
        "return True",
        _in(
            "tests/tail/test_end_of_list.py",
            "test_two_pages_that_end_with_the_same_row_are_no_end_where_nobody_looked_below_it",
        ),
    ),
    Mutant(
        "rows deleted meanwhile make a cut page the end of a list",
        _END_OF_LIST,
        "if not is_same or end < self._end_position:",
        "if not is_same:",
        _in(
            "tests/tail/test_end_of_list.py",
            "test_what_was_looked_for_below_the_end_is_void_once_rows_were_deleted_above_it",
        ),
    ),
    Mutant(
        "a list that hides some rows ends above them",
        _END_OF_LIST,
        "if self._total is not None and not (self.distrusts_total and self._is_empty_at_total):",
        "if self._total is not None and not self.distrusts_total:",
        _in(
            "tests/tail/test_end_of_list.py",
            "test_a_list_that_hides_some_rows_does_not_end_above_them",
        ),
    ),
    Mutant(
        "of a second that a page splits, no more is asked for",
        "cdr_exporter/tail/read_plan.py",
        "if special is None and highest == self._split_second:",
        "if special is None and not highest:",
        _in(
            "tests/tail/test_by_time.py",
            "test_a_second_with_many_calls_is_read_in_one_answer",
        ),
    ),
    Mutant(
        "a second that no page holds any more is given up without a word",
        "cdr_exporter/tail/range_reader.py",
        "if self.plan.order.by_time:",
        "if not wanted:",
        _in(
            "tests/tail/test_by_time.py",
            "test_calls_that_turn_up_in_a_second_that_no_page_holds_any_more_fail_the_poll",
        ),
    ),
    Mutant(
        "a total that is too large keeps a first read going for ever",
        "cdr_exporter/tail/read_plan.py",
        "self._end_of_list.distrusts_total = True",
        "pass",
        _in(
            "tests/poller/test_short_lists.py",
            "test_a_total_that_is_too_large_for_ever_does_not_keep_a_first_read_from_its_end",
        ),
    ),
)

STATE_AS_A_VALUE = (
    Mutant(
        "a change of a large mapping is made in the one before, too",
        "cdr_exporter/metrics/large_map.py",
        "    recent = {**recent, **changes}\n",
        "    recent.update(changes)\n",
        _in("tests/metrics/test_large_map.py", "test_it_is_what_a_dict_is_after_any_changes"),
    ),
    Mutant(
        "an event changes the calls of the state that it came to",
        _OPEN_CALLS,
        "opened, closed = dict(self.open), dict(self.closed)",
        "opened, closed = self.open, self.closed",
        _in(_STATE_TESTS, _WHOLE_CHANGE),
    ),
    Mutant(
        "births that time has changed are not written",
        _STATE,
        "TotalsChange(totals, changed, reborn)",
        "TotalsChange(totals, changed)",
        _in(_STATE_TESTS, _WHOLE_CHANGE),
    ),
    Mutant(
        "the series of a new trunk are not written",
        _STATE,
        "return values.keys() | trunk_zeros(after.trunks - before.trunks).keys()",
        "return values.keys()",
        _in(_STATE_TESTS, _WHOLE_CHANGE),
    ),
    Mutant(
        "identities that were forgotten stay in the file",
        "cdr_exporter/ingest/state_change.py",
        "LedgerChange(after, remembered, forgotten, id_ledger_changed)",
        "LedgerChange(after, remembered, {}, id_ledger_changed)",
        _in(_STATE_TESTS, _WHOLE_CHANGE),
    ),
    Mutant(
        "when ranges were read is forgotten where a page brings no row",
        _STATE,
        "return NextState(replace(seen, ledger=verdict.ledger))",
        "return NextState(seen)",
        _in(_STATE_TESTS, "test_when_ranges_were_read_again_is_known_and_not_kept"),
    ),
)

COMMIT_THEN_PUBLISH = (
    Mutant(
        "totals are shown before they are committed, and stay where that fails",
        "cdr_exporter/poller/poller.py",
        "        if not change.is_empty:\n            self._self_metrics.set(STATE_WRITE_OK, 0)",
        "        self.state = state\n"
        "        if not change.is_empty:\n            self._self_metrics.set(STATE_WRITE_OK, 0)",
        _in(
            "tests/poller/test_failed_polls.py",
            "test_a_state_that_cannot_be_written_publishes_nothing_new",
        ),
    ),
    Mutant(
        "ledger and totals are committed one after the other",
        _FILE_ROWS,
        "            self._write(table, change)\n",
        "            self._write(table, change)\n"
        '            self._db.execute("COMMIT"), self._db.execute("BEGIN IMMEDIATE")\n',
        _in(
            "tests/faults/test_state.py",
            "test_a_kill_at_any_statement_or_around_publishing_changes_nothing",
        ),
    ),
    Mutant(
        "a commit that failed leaves the numbers of its series behind",
        _STORE,
        "            self._state.forget_from(numbered)\n",
        "            pass\n",
        _in("tests/store/test_store.py", "test_a_commit_that_fails_in_the_middle_changes_nothing"),
    ),
    Mutant(
        "a PBX whose counters cannot be written costs the page of all",
        "cdr_exporter/exposition/pbx_text.py",
        "            except Exception as error:",
        "            except ZeroDivisionError as error:",
        _in(
            "tests/exposition/test_exposition.py",
            "test_a_pbx_that_cannot_be_written_is_down_and_the_others_are_shown",
        ),
    ),
    Mutant(
        "a process goes on writing into a state file that was deleted",
        _STORE,
        "        if moved is not None:\n",
        "        if False:\n",
        _in(_REPLACED, "test_what_is_gone_is_noticed_at_the_next_commit_and_written_anew"),
    ),
    Mutant(
        "a state file that is deleted within a commit is committed to",
        _STORE,
        "                self._rows.write(changed)\n                self._check_in_place()\n",
        "                self._rows.write(changed)\n",
        _in(_REPLACED, "test_what_is_replaced_within_a_commit_is_not_committed_to"),
    ),
    Mutant(
        "what is written anew is locked by a file that is gone",
        _STORE,
        "            self._lock = self._lock.taken_again()\n",
        "",
        _in(_REPLACED, "test_what_is_gone_is_noticed_at_the_next_commit_and_written_anew"),
    ),
    Mutant(
        "a state that was deleted is written anew without what was counted",
        "cdr_exporter/poller/poller.py",
        "        self._store.rewrite(self.state.kept)\n",
        "        self._store.rewrite(type(self.state.kept)(totals=self.state.totals))\n",
        _in(
            "tests/faults/test_state.py",
            "test_a_state_that_was_deleted_is_written_anew_with_the_next_rows",
        ),
    ),
    Mutant(
        "nobody is told that commits are missing",
        _STORE,
        "max(0, self._lock.noted - self._rows.whole.commits)",
        "0",
        _in(_REPLACED, "test_commits_that_are_missing_are_told_once"),
    ),
    Mutant(
        "a commit looks at its lease without locking it",
        _DATABASE_STORE,
        " AND epoch = %s FOR SHARE",
        " AND epoch = %s",
        _in(
            _DATABASE_STORE_TESTS,
            "test_a_takeover_at_any_step_of_a_commit_waits_or_the_commit_is_refused",
        ),
    ),
    Mutant(
        "a commit is made under whatever lease there is",
        _DATABASE_STORE,
        " AND epoch = %s FOR SHARE",
        " AND %s > 0 FOR SHARE",
        _in(_DATABASE_STORE_TESTS, "test_who_has_lost_the_lease_writes_nothing"),
    ),
    Mutant(
        "a commit is made whatever state is there",
        "cdr_exporter/store/database_rows.py",
        "rowcount == 1 else None",
        "rowcount >= 0 else None",
        _in(
            _DATABASE_STORE_TESTS,
            "test_a_state_put_in_place_of_ours_is_set_aside_at_the_next_commit",
        ),
    ),
    Mutant(
        "a commit whose answer was lost is taken as not written",
        _DATABASE_STORE,
        "isinstance(error, CommitInDoubt) and after is not None",
        "False",
        _in(
            "tests/store/test_contract.py",
            "test_a_commit_whose_answer_was_lost_is_kept_or_not_and_said_to_be",
        ),
    ),
    Mutant(
        "a commit that may still land is said not to be kept",
        "cdr_exporter/store/database_rows.py",
        "{_READ} AND part = 'whole' FOR UPDATE",
        "{_READ} AND part = 'whole'",
        _in(
            _DATABASE_STORE_TESTS,
            "test_whether_it_landed_is_not_said_while_it_may_still_land",
        ),
    ),
    Mutant(
        "a page whose commit is in doubt is read again before it is known",
        "cdr_exporter/poller/poller.py",
        "        self._settle()\n",
        "",
        _in(
            "tests/poller/test_in_doubt.py", "test_after_any_answers_lost_each_row_is_counted_once"
        ),
    ),
    Mutant(
        "what a commit in doubt has counted is forgotten",
        "cdr_exporter/poller/poller.py",
        "            self.state = doubt.state\n",
        "",
        _in(
            "tests/poller/test_in_doubt.py",
            "test_rows_that_the_pbx_deletes_in_doubt_are_counted_where_the_commit_is_kept",
        ),
    ),
    Mutant(
        "a state can be counted on in the database while its file still can",
        "cdr_exporter/store/database_rows.py",
        'return f"{pbx}:moving"',
        "return pbx",
        _in(
            _STATE_MOVING_TESTS,
            "test_who_is_killed_at_any_step_runs_it_again_and_nothing_is_there_twice",
        ),
    ),
    Mutant(
        "a state can be counted on in its file while it is in the database",
        "cdr_exporter/store/moving.py",
        'fresh = file_of(directory, name, "db"), file_of(directory, name, "moving")',
        'fresh = file_of(directory, name, "db"), file_of(directory, name, "db")',
        _in(
            _STATE_MOVING_TESTS,
            "test_who_is_killed_at_any_step_runs_it_again_and_nothing_is_there_twice",
        ),
    ),
    Mutant(
        "a state that a replica counts on is moved away from it",
        "cdr_exporter/store/moving.py",
        "(ends < clock_timestamp() OR starts_with(holder, %s))",
        "(true OR starts_with(holder, %s))",
        _in(_STATE_MOVING_TESTS, "test_a_pbx_that_a_replica_holds_is_not_moved_out"),
    ),
    Mutant(
        "a replica begins a new state while one is moved in",
        _DATABASE_STORE,
        "if has_rows(transaction, moving_name(self._name)):",
        "if False:",
        _in(_STATE_MOVING_TESTS, "test_a_replica_begins_no_new_state_while_one_is_moved_in"),
    ),
    Mutant(
        "a row of the state is believed whatever its checksum",
        _CHECKED_ROWS,
        "not isinstance(content, bytes) or row != _row(table, key, content)",
        "not isinstance(content, bytes)",
        _in(_SET_ASIDE, "test_a_row_or_table_that_nobody_of_us_wrote_is_noticed"),
    ),
    Mutant(
        "nothing tells that a row of the state is missing or old",
        _CHECKED_ROWS,
        "if found != whole:",
        "if False:",
        _in(_SET_ASIDE, "test_a_row_or_table_that_nobody_of_us_wrote_is_noticed"),
    ),
    Mutant(
        "rows of the state may stand in any order",
        _CHECKED_ROWS,
        "if not all(one[0] < other[0] for one, other in pairwise(rows)):",
        "if False:",
        _in(_SET_ASIDE, "test_rows_that_have_changed_places_are_noticed"),
    ),
    Mutant(
        "a series of the state is believed whatever its width",
        "cdr_exporter/store/series_rows.py",
        " or len(value) != value_length(family, bounds)",
        "",
        _in(_SET_ASIDE, "test_a_row_that_makes_no_sense_is_noticed_whatever_its_checksum"),
    ),
    Mutant(
        "the legs of a page are committed without their calls",
        _STATE,
        "TotalsChange(totals, changed), calls.change,",
        "TotalsChange(totals, changed), type(calls.change)(),",
        _in("tests/ingest/test_call_assembly.py", "test_a_late_leg_is_still_known_after_a_restart"),
    ),
    Mutant(
        "open calls are not written down",
        "cdr_exporter/store/call_rows.py",
        "change.opened.items()",
        "()",
        _in("tests/store/test_call_rows.py", "test_an_open_call_is_found_again_as_it_was"),
    ),
    Mutant(
        "a restart forgets what is still to be read",
        _LEDGER_ROWS,
        "unread=facts.unread",
        "unread=()",
        _in(
            "tests/poller/test_catch_up.py",
            "test_a_process_killed_in_a_catch_up_goes_on_where_it_was",
        ),
    ),
    Mutant(
        "calls are shown before all that ended meanwhile was read",
        _TAIL,
        "not self.has_more and not self._following.state.unread",
        "True",
        _in(
            "tests/e2e/test_publication.py",
            "test_after_a_start_no_calls_are_shown_before_the_start_is_read_whole",
        ),
    ),
    Mutant(
        "a series that begins while hidden stands at its value at once",
        "cdr_exporter/ingest/visibility.py",
        "if self.shown else NOT_SHOWN_YET",
        "if self.shown else SHOWN_FROM_START",
        _in(
            "tests/ingest/test_visibility.py",
            "test_a_series_that_is_new_while_hidden_is_born_when_it_is_first_shown",
        ),
    ),
    Mutant(
        "the calls of a silent PBX stay",
        "cdr_exporter/metrics/snapshot.py",
        "self.shown and now.steady < self.fresh_until",
        "self.shown",
        _in(
            "tests/metrics/test_snapshot.py",
            "test_calls_are_seen_until_the_pbx_was_silent_for_too_long",
        ),
    ),
    Mutant(
        "a clock that is set back takes a count back to 0",
        "cdr_exporter/exposition/pbx_text.py",
        "births - self._expired_holds if",
        "births if",
        _in(
            "tests/exposition/test_exposition.py",
            "test_a_count_that_was_seen_is_not_taken_back_when_the_clock_is_set_back",
        ),
    ),
)

EACH_CALL_COUNTS_ONCE = (
    Mutant(
        "a call that may still get a leg is counted with many of one leg",
        _OPEN_CALLS,
        "before = min(self.oldest_end, waited_enough, self.pbx_time)",
        "before = self.pbx_time",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_calls_of_one_leg_that_are_over_at_once_are_what_they_are_one_by_one",
        ),
    ),
    Mutant(
        "a call of which a leg is open is counted as one of one leg",
        "cdr_exporter/ingest/call_assembly.py",
        "return not_over | {uid for each in known if each for uid in found if uid in each}",
        "return not_over",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_calls_of_one_leg_that_are_over_at_once_are_what_they_are_one_by_one",
        ),
    ),
    Mutant(
        "rows of one call are counted as calls of one leg each",
        "cdr_exporter/ingest/call_assembly.py",
        "if len(found) < len(uids):",
        "if False:",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_calls_of_one_leg_that_are_over_at_once_are_what_they_are_one_by_one",
        ),
    ),
    Mutant(
        "the last leg decides how a call went",
        "cdr_exporter/calls/call.py",
        "min(legs, key=lambda leg: _STRENGTH[leg.outcome])",
        "legs[-1]",
        _in(
            "tests/calls/test_calls.py", "test_a_ring_group_of_three_phones_that_one_of_them_takes"
        ),
    ),
    Mutant(
        "machines are people",
        "cdr_exporter/calls/leg.py",
        "if callee.kind in (PERSON, CONFERENCE):",
        "if True:",
        _in(
            "tests/calls/test_calls.py", "test_a_caller_who_gets_through_ivr_and_queue_to_an_agent"
        ),
    ),
    Mutant(
        "the name of a callee beats its number",
        "cdr_exporter/calls/callee.py",
        "if not by_number:",
        "if by_name or not by_number:",
        _in("tests/calls/test_field_calls.py", "test_a_call_counts_as_what_happened"),
    ),
    Mutant(
        "a leg in a queue's last second is one of its agents",
        "cdr_exporter/calls/call.py",
        "last.duration - _GRACE:",
        "last.duration + _GRACE:",
        _in("tests/calls/test_field_calls.py", "test_a_call_counts_as_what_happened"),
    ),
    Mutant(
        "a leg that comes in another poll replaces those before",
        _OPEN_CALLS,
        "[*known.legs, *new]",
        "new",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_legs_that_turn_up_in_other_polls_are_of_the_same_call",
        ),
    ),
    Mutant(
        "the offset of the PBX's clock goes by the beginning of the request",
        "cdr_exporter/pbx/transport.py",
        "middle = (began + self._wall()) / 2",
        "middle = began",
        _in(
            "tests/pbx/test_http_answers.py",
            "test_the_date_of_an_answer_tells_by_how_much_the_clock_of_the_pbx_is_ahead",
        ),
    ),
    Mutant(
        "the offset of the PBX's clock stays when the PBX tells it no more",
        "cdr_exporter/metrics/self_metrics.py",
        "self._gauges.pop(Series(family.name), None)",
        "pass",
        _in(_WRONG_CLOCKS, "test_the_offset_of_the_clock_is_shown_while_the_pbx_tells_it"),
    ),
    Mutant(
        "what the PBX's clock shows is not asked for",
        "cdr_exporter/ingest/call_assembly.py",
        "now.wall + self.clock_offset",
        "0.0",
        _in(
            _WRONG_CLOCKS,
            "test_calls_of_an_outage_count_before_anything_is_shown_by_whatever_clock",
        ),
    ),
    Mutant(
        "an empty list was seen by our clock",
        _FOLLOWED_LIST,
        "self._empty_since + (self._reader.clock_offset or 0.0)",
        "self._empty_since",
        _in(
            _WRONG_CLOCKS,
            "test_the_first_calls_after_an_empty_list_count_by_the_clock_that_the_pbx_tells",
        ),
    ),
    Mutant(
        "a clock of the PBX that was not set is believed",
        "cdr_exporter/tail/page_reader.py",
        "offset is not None and abs(offset) <= _MOST_OFFSET",
        "offset is not None",
        _in(_WRONG_CLOCKS, "test_a_clock_that_was_not_set_makes_no_old_rows_new"),
    ),
    Mutant(
        "how long ago a call ended is told by our clock",
        "cdr_exporter/ingest/call_assembly.py",
        "pbx_time=max(newest_end, self._shown_by_pbx(now)),",
        "pbx_time=max(newest_end, now.wall),",
        _in(
            _WRONG_CLOCKS,
            "test_legs_that_come_in_two_polls_after_a_restart_are_one_call",
        ),
    ),
    Mutant(
        "a counted call is remembered by when it ended",
        _OPEN_CALLS,
        "if not (at.catching_up and at.is_old(call.ended_at))",
        "if not at.is_old(call.ended_at)",
        _in(
            _WRONG_CLOCKS,
            "test_a_counted_call_is_remembered_after_the_clock_was_set_back",
        ),
    ),
    Mutant(
        "every call of a baseline is remembered",
        _OPEN_CALLS,
        "return EARLIEST <= ended_at < self.oldest_end",
        "return False",
        _in(_WRONG_CLOCKS, "test_of_a_baseline_only_the_last_calls_are_remembered"),
    ),
    Mutant(
        "one row that is hours ahead makes all calls old",
        "cdr_exporter/ingest/call_assembly.py",
        "oldest_end=min(newest_end, now.wall)",
        "oldest_end=newest_end",
        _in(
            _WRONG_CLOCKS,
            "test_one_row_that_is_hours_ahead_lets_no_call_from_before_the_start_be_forgotten",
        ),
    ),
    Mutant(
        "the time of remembered calls is lost in a restart",
        _OPEN_CALLS,
        "chain(opened, (call.closed_at for call in self.closed.values()))",
        "opened",
        _in(
            _WRONG_CLOCKS,
            "test_after_a_restart_remembered_calls_are_forgotten_as_soon",
        ),
    ),
    Mutant(
        "a late leg is a call of its own",
        _OPEN_CALLS,
        "if closed is not None:",
        "if closed is not None and not closed.counted:",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_a_leg_that_comes_after_its_call_was_counted_is_a_row_only",
        ),
    ),
    Mutant(
        "a call is over at once",
        _OPEN_CALLS,
        "at.waited_for(uid, call) >= wait",
        "True",
        _in("tests/ingest/test_call_assembly.py", "test_a_call_is_counted_once_it_was_waited_for"),
    ),
    Mutant(
        "a call is over though older legs of it are still to be read",
        _OPEN_CALLS,
        "call.started_at <= self.started_by or call.ended_at <= self.ended_by",
        "False",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_a_page_that_ends_within_a_call_does_not_split_it",
        ),
    ),
    Mutant(
        "a call from before the start is put together from its rest",
        _OPEN_CALLS,
        "if not self._is_known(uid, opened)",
        "if False",
        _in(
            "tests/ingest/test_call_assembly.py",
            "test_further_legs_of_a_call_from_before_the_start_are_rows_only",
        ),
    ),
    Mutant(
        "what is over is counted and stays open",
        _OPEN_CALLS,
        "opened.pop(uid, None)",
        "pass",
        _in(
            "tests/store/test_call_rows.py",
            "test_a_call_that_was_counted_is_remembered_and_open_no_more",
        ),
    ),
    Mutant(
        "time in which the PBX did not reply counts as waiting",
        "cdr_exporter/calls/reachable_time.py",
        "if self.poll_succeeded and not was_silent:",
        "if not was_silent:",
        _in(
            "tests/calls/test_reachable_time.py",
            "test_it_does_not_advance_after_a_poll_that_failed",
        ),
    ),
)

_PREVIEW = "cdr_exporter/commands/preview.py"

OUR_CLOCK_MAY_BE_SET = (
    Mutant(
        "without ids, rows count again when our clock was set back by days",
        _LEDGER,
        "self.remembered_from if self.recheck else 0",
        "0",
        _in(
            _JUMPING_CLOCKS,
            "test_without_ids_no_row_counts_again_when_our_clock_was_set_back_by_days",
        ),
    ),
    Mutant(
        "the late window of a missing id ends when our clock is set ahead",
        _STATE,
        "if abs(seconds) < _CLOCK_WAS_SET:",
        "if True:",
        (_JUMPING_CLOCKS,),
    ),
    Mutant(
        "the late window of a missing id ends when our clock is set ahead between two runs",
        "cdr_exporter/ledger/recheck_ranges.py",
        "int(now) if each.missing_since and not each.last_read else each.missing_since",
        "each.missing_since",
        _in(
            _JUMPING_CLOCKS,
            "test_a_late_row_counts_though_our_clock_was_set_while_it_was_written",
        ),
    ),
    Mutant(
        "the steady clock stands still in suspend",
        "cdr_exporter/clock.py",
        '"CLOCK_BOOTTIME"',
        '"CLOCK_MONOTONIC"',
        ("tests/test_clock.py",),
    ),
    Mutant(
        "a wait goes on after suspend as if no time had passed",
        "cdr_exporter/clock.py",
        "min(left, _LOOK_AT_CLOCK)",
        "left",
        ("tests/test_clock.py",),
    ),
    Mutant(
        "hours of suspend count as time in which the PBX replied",
        "cdr_exporter/calls/reachable_time.py",
        " and not was_silent",
        "",
        _in(_JUMPING_CLOCKS, "test_a_late_leg_is_recognised_after_hours_of_suspend"),
    ),
)

FILES_OF_THE_STATE_DIRECTORY = (
    Mutant(
        "a symbolic link is followed",
        "cdr_exporter/state_files.py",
        " | os.O_NOFOLLOW",
        "",
        _in("tests/test_state_files.py", "test_a_file_is_not_opened_through_a_symbolic_link"),
    ),
    Mutant(
        "a state file is opened through a symbolic link",
        "cdr_exporter/state_files.py",
        "if each.is_symlink():",
        "if False:",
        _in("tests/store/test_refused_files.py", "test_a_planted_link_is_not_followed"),
    ),
    Mutant(
        "a file of one PBX is called as one of another",
        "cdr_exporter/state_files.py",
        ".replace('.', '%2E')",
        "",
        _in("tests/test_state_files.py", "test_no_file_of_a_pbx_is_called_as_one_of_another"),
    ),
    Mutant(
        "check calls a state directory valid that run refuses",
        "cdr_exporter/commands/preflight.py",
        "            _look_into(settings)",
        "            pass",
        _in(
            "tests/commands/test_check.py",
            "test_a_state_dir_that_cannot_be_used_is_refused_by_both",
        ),
    ),
    Mutant(
        "whether there are locks is not tried",
        "cdr_exporter/state_files.py",
        "try_lock(descriptor, directory)",
        "pass",
        _in("tests/commands/test_check.py", "test_a_file_system_without_locks_is_said_by_its_name"),
    ),
)

COPIES_OF_THE_STATE = (
    Mutant(
        "a copy takes the place of a file that is there",
        _INSPECTION,
        "if os.path.lexists(copy):",
        "if False:",
        _in(_STATE_COMMAND_TESTS, "test_a_file_that_is_there_is_not_replaced"),
    ),
    Mutant(
        "a damaged state is said to be whole",
        _INSPECTION,
        '    if reason:\n        raise StateUnusable(f"{path}: ',
        '    if False:\n        raise StateUnusable(f"{path}: ',
        _in(
            _STATE_COMMAND_TESTS,
            "test_a_state_that_is_not_whole_is_one_line_and_others_are_done",
        ),
    ),
    Mutant(
        "a copy may be read by others",
        "cdr_exporter/state_files.py",
        "OWNER_ONLY = 0o600",
        "OWNER_ONLY = 0o644",
        _in(
            _STATE_COMMAND_TESTS,
            "test_a_copy_holds_what_was_committed_and_is_the_owners_alone",
        ),
    ),
    Mutant(
        "a state that is looked at changes",
        "cdr_exporter/store/open_file.py",
        'mode = "mode=ro" if logged else "immutable=1"',
        'mode = "mode=rw"',
        _in(_STATE_COMMAND_TESTS, "test_the_log_that_a_kill_left_stays_as_it_is"),
    ),
)

THE_PREVIEW_IS_TRUE_AND_SHOWS_NOBODY = (
    Mutant(
        "the preview shows whole numbers",
        _PREVIEW,
        "_LONGEST_INSIDE = 2, 2, 6",
        "_LONGEST_INSIDE = 4, 0, 6",
        _in("tests/commands/test_preview.py", "test_a_number_is_never_shown_whole"),
    ),
    Mutant(
        "the preview counts calls of which the page has only the rest",
        _PREVIEW,
        "if not _may_be_cut(call, edge)",
        "if True",
        _in(
            "tests/commands/test_preview.py",
            "test_a_call_that_may_have_older_rows_than_these_is_left_out",
        ),
    ),
    Mutant(
        "the preview leaves out the calls of a whole list",
        _PREVIEW,
        "if page.is_last or not ledger.unread:",
        "if False:",
        _in(
            "tests/commands/test_preview.py",
            "test_a_call_that_may_have_older_rows_than_these_is_left_out",
        ),
    ),
    Mutant(
        "the preview takes no number of the user's for met",
        _PREVIEW,
        "len(met & set(each))",
        "0",
        _in(
            "tests/commands/test_preview.py",
            "test_numbers_that_the_user_named_are_met_or_not_by_label",
        ),
    ),
    Mutant(
        "a list of legacy rows only is taken for the newest rows",
        "cdr_exporter/commands/newest_rows.py",
        "page = reader.read(query(1, START_PAGE_ROWS, order))",
        "page = reader.read(query(1, START_PAGE_ROWS, BY_ID))",
        _in(
            "tests/commands/test_newest_rows.py",
            "test_a_firmware_that_lists_the_legacy_table_only_is_read_with_from",
        ),
    ),
)

ROWS_ARE_READ_AROUND_ONE = (
    Mutant(
        "a row is missed when others are deleted between two parts",
        _OVERSIZED_ROWS,
        "return all(earlier <= later for earlier, later in pairwise(totals))",
        "return True",
        _in(_OVERSIZED_TESTS, "test_a_list_that_changes_meanwhile_hides_no_row"),
    ),
    Mutant(
        "without a total one reading in parts is believed",
        _OVERSIZED_ROWS,
        "return before is not None and list(before._identities()) == list(self._identities())",
        "return True",
        _in(_OVERSIZED_TESTS, "test_a_list_that_changes_meanwhile_hides_no_row"),
    ),
    Mutant(
        "rows that come in two parts come twice",
        _OVERSIZED_ROWS,
        "if not self._rows:",
        "if True:",
        _in(_OVERSIZED_TESTS, "test_a_list_that_changes_meanwhile_hides_no_row"),
    ),
    Mutant(
        "a row is missed when it changes places with one of the next part",
        _OVERSIZED_ROWS,
        "if self._shifted or self._may_have_changed_places():",
        "if self._shifted:",
        _in(_OVERSIZED_TESTS, "test_by_time_rows_of_one_second_that_change_places_hide_none"),
    ),
    Mutant(
        "an oversized row is another one when rows were added above it",
        _OVERSIZED_ROWS,
        "self._order.identity(below) if below is not None else 0",
        "position",
        _in(
            _OVERSIZED_TESTS,
            "test_it_is_rejected_once_while_rows_come_and_the_program_starts_again",
        ),
    ),
    Mutant(
        "two oversized rows beside each other are the same",
        _OVERSIZED_ROWS,
        "number * _SPREAD",
        "_SPREAD",
        _in(_OVERSIZED_TESTS, "test_each_of_several_rows_is_rejected_at_its_place"),
    ),
    Mutant(
        "an oversized row that moves down while it is looked for is two",
        _OVERSIZED_ROWS,
        "return grown and (several or (below is not None and below not in new))",
        "return False",
        _in(
            _OVERSIZED_TESTS,
            "test_it_is_rejected_once_though_it_moves_down_while_it_is_looked_for",
        ),
    ),
    Mutant(
        "the newest row, which is oversized and moves down, is two",
        _OVERSIZED_ROWS,
        "return several and not all(",
        "return False and all(",
        _in(
            _OVERSIZED_TESTS,
            "test_it_is_rejected_once_though_it_moves_down_while_it_is_looked_for",
        ),
    ),
    Mutant(
        "oversized rows are searched for anew in each poll",
        _OVERSIZED_ROWS,
        "self._places.note(position, self._order)",
        "pass",
        _in(
            _OVERSIZED_TESTS,
            "test_a_poll_with_the_row_on_its_first_page_asks_for_each_other_row_once",
        ),
    ),
    Mutant(
        "oversized rows stay where they were when rows are added",
        _OVERSIZED_ROWS,
        "if grown > 0:",
        "if False:",
        _in(_OVERSIZED_TESTS, "test_a_row_added_above_it_does_not_start_the_search_anew"),
    ),
    Mutant(
        "one page may cost any number of requests",
        _OVERSIZED_ROWS,
        " or self.requests == _MOST_REQUESTS",
        "",
        _in(_OVERSIZED_TESTS, "test_one_page_never_costs_more_than_60_requests"),
    ),
    Mutant(
        "where nothing is readable the search goes on",
        _PAGE_READER,
        "if reading.is_in_vain:",
        "if False:",
        _in(_OVERSIZED_TESTS, "test_where_every_answer_is_too_large_a_poll_asks_ten_times"),
    ),
    Mutant(
        "a page that begins with many oversized rows is never read",
        _OVERSIZED_ROWS,
        "_MOST_REQUESTS if self._query.offset else _MOST_IN_VAIN",
        "_MOST_IN_VAIN",
        _in(
            _OVERSIZED_TESTS,
            "test_a_page_below_the_first_that_begins_with_many_of_them_is_read_too",
        ),
    ),
    Mutant(
        "the PBX does not rest between two parts",
        _PAGE_READER,
        "if rest or reading.requests:",
        "if rest:",
        _in(
            _OVERSIZED_TESTS,
            "test_the_pbx_rests_before_each_part_and_nothing_is_asked_for_at_the_end",
        ),
    ),
    Mutant(
        "a page of rejected rows alone starts the proof of the end anew",
        _END_OF_LIST,
        " or (not page.highest and end == self._end_position)",
        "",
        _in(
            _OVERSIZED_TESTS,
            "test_a_short_list_whose_oldest_row_is_malformed_ends_without_a_total",
        ),
    ),
)

_BARS = "grafana/generator/promql.py"

BARS_ADD_UP = (
    Mutant(
        "what a PBX counts after it was out of reach is in no bar",
        _BARS,
        'LONGEST_GAP = "1d"',
        'LONGEST_GAP = "1m"',
        _in(
            "tests/grafana/test_bars.py",
            "test_what_was_counted_in_a_gap_is_in_the_bar_in_which_the_series_returns",
        ),
    ),
    Mutant(
        "the first bar has all that was there before",
        _BARS,
        "<= {least} or {least})",
        "<= {least} or 0 * {least})",
        _in("tests/grafana/test_bars.py", "test_a_new_series_counts_from_its_first_sample"),
    ),
    Mutant(
        "a legend totals what is outside of the time shown",
        _BARS,
        "        if self.shown:\n",
        "        if not self.shown:\n",
        _in(
            "tests/grafana/test_bars.py",
            "test_of_a_bar_that_reaches_beyond_the_time_shown_only_the_rest_counts",
        ),
    ),
    Mutant(
        "a counter that began again while it was hidden is taken for the old one",
        _BARS,
        " <= {least} or {least})",
        " or {least})",
        _in(
            "tests/grafana/test_bars.py",
            "test_a_counter_that_began_again_is_not_taken_for_the_old_one",
        ),
    ),
    Mutant(
        "a counter that began again in a window is taken for the old one",
        _BARS,
        " unless resets({window}) > 0 or increase({window}))",
        ")",
        _in(
            "tests/grafana/test_bars.py",
            "test_a_counter_that_began_again_is_not_taken_for_the_old_one",
        ),
    ),
    Mutant(
        "a week before is an hour off where the clocks went forward",
        _BARS,
        "ago(167, 3600)",
        "ago(168, 3600)",
        _in("tests/grafana/test_bars.py", "test_a_week_before_is_the_same_hour_by_the_clock"),
    ),
)

_QUARTERS, _PBX_PAGE = "cdr_exporter/metrics/quarters.py", "cdr_exporter/web/pbx_page.py"
_TEST_QUARTERS, _TEST_PBX_PAGE = "tests/metrics/test_quarters.py", "tests/web/test_pbx_page.py"

CHARTS_SHOW_THE_CALLS_COUNTED = (
    Mutant(
        "the charts lack the calls of a page",
        _STATE,
        "            quarters=quarters.after,\n        )\n        changed",
        "            quarters=self.quarters,\n        )\n        changed",
        _in("tests/ingest/test_coverage.py", "test_with_start_all_the_past_is_in_the_charts"),
    ),
    Mutant(
        "a page is counted from 0, and not on what is known",
        "cdr_exporter/metrics/new_values.py",
        "list(self._known.get(series) or (0,) * length)",
        "[0] * length",
        _in("tests/metrics/test_row_metrics.py", "test_a_page_is_counted_on_what_is_known"),
    ),
    Mutant(
        "the charts go by the end of a call",
        _QUARTERS,
        "sums = counted[start // QUARTER]",
        "sums = counted[(start + talk) // QUARTER]",
        _in(_TEST_QUARTERS, "test_a_call_is_in_the_quarter_in_which_it_started"),
    ),
    Mutant(
        "the charts show calls of an impossible time",
        _QUARTERS,
        " if is_possible(q * QUARTER, now)",
        "",
        _in(
            _TEST_QUARTERS,
            "test_a_call_with_an_impossible_or_an_old_start_is_in_no_quarter",
        ),
    ),
    Mutant(
        "the charts divide by calls that the PBX blocked",
        _QUARTERS,
        'for outcome, s in self._inbound if outcome != "blocked"',
        "for outcome, s in self._inbound",
        _in(_TEST_QUARTERS, "test_the_shares_are_of_inbound_calls_and_leave_out_blocked_ones"),
    ),
    Mutant(
        "the charts write every quarter anew",
        _QUARTERS,
        "for quarter in quarters:\n",
        "for quarter in {*quarters, *cells}:\n                added.setdefault(quarter, {})\n",
        _in(
            "tests/store/test_quarter_rows.py",
            "test_a_commit_writes_only_the_quarters_that_changed",
        ),
    ),
    Mutant(
        "the charts take an outage for a time that was reached",
        _QUARTERS,
        "quarter - 1 - before[-1][1] <= gap // QUARTER",
        "quarter - 1 - before[-1][1] >= 0",
        _in(_TEST_QUARTERS, "test_each_quarter_in_which_a_poll_succeeded_was_reached"),
    ),
    Mutant(
        "the charts show no call where none was counted yet",
        _PBX_PAGE,
        "known = since is not None and since < period.end * QUARTER",
        "known = True",
        _in(_TEST_PBX_PAGE, "test_before_the_first_start_stands_not_counted"),
    ),
    Mutant(
        "the charts go by the days of UTC",
        "cdr_exporter/web/periods.py",
        "day.day, tzinfo=zone)",
        "day.day, tzinfo=type(zone)('UTC'))",
        _in("tests/web/test_periods.py", "test_a_day_is_as_long_as_it_was"),
    ),
    Mutant(
        "a pbx is found by the end of its path",
        "cdr_exporter/web/app.py",
        "if snapshot.pbx == name:",
        "if name.endswith(snapshot.pbx):",
        _in(_TEST_PBX_PAGE, "test_a_page_has_exactly_one_path"),
    ),
)

THE_PAST_IS_WHAT_WAS_SHOWN = (
    Mutant(
        "history holds calls that the first sample of a baseline has not",
        "cdr_exporter/history/seam.py",
        "min(end, first.settled_until)",
        "end",
        _in(
            "tests/history/test_seam.py",
            "test_it_ends_before_the_first_sample_and_three_hours_ago",
        ),
    ),
    Mutant(
        "history goes on beside the live exporter",
        "cdr_exporter/history/seam.py",
        "latest = first.at",
        "pass",
        _in(
            "tests/history/test_seam.py",
            "test_it_ends_before_the_first_sample_and_three_hours_ago",
        ),
    ),
    Mutant(
        "what may be written late is taken for part of the baseline",
        _STATE,
        " - self.rules.limits.late_window",
        "",
        _in(
            "tests/store/test_publication.py",
            "test_with_a_baseline_it_is_what_is_certainly_in_it",
        ),
    ),
    Mutant(
        "the first time that series were shown is forgotten for a later one",
        _STATE,
        "first is None and not self.was_lost",
        "not self.was_lost",
        _in("tests/store/test_publication.py", "test_the_first_time_is_kept_and_no_later_one"),
    ),
    Mutant(
        "a call that ends at midnight is of the day before",
        "cdr_exporter/store/leg_file.py",
        "call.ended_at >= ? AND call.ended_at < ?",
        "call.ended_at > ? AND call.ended_at <= ?",
        _in("tests/history/test_counting.py", "test_what_ends_at_midnight_is_of_the_new_day"),
    ),
    Mutant(
        "a series begins at its first count",
        "cdr_exporter/history/counting.py",
        "[(earlier, (0,) * len(value))]",
        "[(time, value)]",
        _in(
            "tests/history/test_counting.py",
            "test_a_series_begins_with_0_one_step_before_its_first_count",
        ),
    ),
    Mutant(
        "a series that is counted first by the first sample of a block has no 0",
        "cdr_exporter/history/counting.py",
        "if following is not None:",
        "if False:",
        _in(
            "tests/history/test_counting.py",
            "test_a_series_begins_with_0_one_step_before_its_first_count",
        ),
    ),
    Mutant(
        "what lies before the first day counts in it",
        "cdr_exporter/history/counting.py",
        "if not baseline:",
        "if False:",
        _in(
            "tests/history/test_counting.py",
            "test_without_a_baseline_what_ended_before_the_begin_does_not_count",
        ),
    ),
    Mutant(
        "legs are taken as read before they are on the disk",
        "cdr_exporter/history/reading.py",
        "        self._legs.add(self._kept_legs(verdict))\n        self._store.commit(",
        "        self._store.commit(",
        _in(
            "tests/history/test_reading.py",
            "test_a_kill_between_legs_and_ledger_loses_nothing",
        ),
    ),
    Mutant(
        "a folder that holds blocks is written to",
        "cdr_exporter/history/folder.py",
        "self._check_empty()",
        "pass",
        _in("tests/history/test_folder.py", "test_a_folder_that_holds_blocks_is_refused"),
    ),
    Mutant(
        "two processes ask a PBX at once",
        "cdr_exporter/pbx/turn.py",
        "while not try_lock(descriptor, path) and",
        "while False and",
        _in(
            "tests/pbx/test_turn.py",
            "test_it_waits_for_its_turn_until_the_other_process_has_ended",
        ),
    ),
)

_PROGRAMS = "cdr_exporter/programs.py"

OTHER_PROGRAMS = (
    Mutant(
        "a program goes on when we are killed",
        _PROGRAMS,
        "_LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)",
        "pass",
        _in("tests/test_programs.py", "test_it_ends_when_we_are_killed"),
    ),
    Mutant(
        "a Prometheus that ends by itself is no reason to end",
        "cdr_exporter/commands/demo_prometheus.py",
        "process.set_when_ended(stop)",
        "pass",
        _in(
            "tests/e2e/test_demo_prometheus.py",
            "test_a_prometheus_that_ends_by_itself_is_one_line_and_the_end",
        ),
    ),
    Mutant(
        "history for a Prometheus that has not started leaves three hours out",
        "cdr_exporter/history/seam.py",
        "(new_prometheus or first.at < latest)",
        "first.at < latest",
        _in(
            "tests/history/test_seam.py",
            "test_for_a_prometheus_that_has_not_started_it_goes_up_to_the_first_sample",
        ),
    ),
)

_MISTAKES = _in(
    "tests/config/test_config.py",
    "test_a_mistake_is_one_line_that_says_where_what_and_what_to_do",
)
SETTINGS = (
    Mutant(
        "the top of the file overrides the entry of a PBX",
        "cdr_exporter/config/build.py",
        "completed(_PBX, entry, common)",
        "completed(_PBX, common, entry)",
        _in(
            "tests/config/test_config.py",
            "test_the_entry_of_a_pbx_overrides_the_top_of_the_file",
        ),
    ),
    Mutant(
        "a mistake at the top of the file is said to be in the entry of a PBX",
        "cdr_exporter/config/build.py",
        "(place if of_this_pbx else Place(place.lines))",
        "place",
        _MISTAKES,
    ),
    Mutant(
        "the interval of one PBX is taken for that of all",
        "cdr_exporter/config/build.py",
        'place.key("poll_interval").path if is_elsewhere else',
        "",
        _MISTAKES,
    ),
    Mutant(
        "a family that is hidden is on the page",
        "cdr_exporter/exposition/pbx_text.py",
        "hidden = self._hidden if",
        "hidden = frozenset() if",
        _in(
            "tests/exposition/test_exposition.py",
            "test_a_hidden_family_is_left_out_and_nothing_else",
        ),
    ),
    Mutant(
        "history writes a family that the exporter does not show",
        "cdr_exporter/history/past.py",
        "block_text(parts, bounds, hidden)",
        "block_text(parts, bounds)",
        _in(
            "tests/history/test_past.py",
            "test_a_family_that_the_exporter_does_not_show_is_left_out",
        ),
    ),
)

A_THOUSAND_PBXS_FIT = (
    Mutant(
        "at the end the state of each PBX is taken apart",
        "cdr_exporter/__main__.py",
        "os._exit(code)",
        "sys.exit(code)",
        _in(
            "tests/test_cli.py",
            "test_the_end_writes_out_what_was_printed_and_takes_no_state_apart",
        ),
    ),
    Mutant(
        "all PBXs end at once",
        "cdr_exporter/poller/supervisor.py",
        "_ending = threading.BoundedSemaphore(_AT_ONCE)",
        "_ending = threading.BoundedSemaphore(1 + _AT_ONCE)",
        _in(
            "tests/poller/test_supervisor.py",
            "test_of_many_pbxs_that_end_at_once_each_gives_its_token_back_and_some_wait_for_others",
        ),
    ),
    Mutant(
        "the last of many PBXs is polled first after minutes",
        "cdr_exporter/poller/backoff.py",
        "min(FIRST_POLLS_APART, FIRST_POLLS_SECONDS / pbxs)",
        "FIRST_POLLS_APART",
        _in(
            "tests/poller/test_backoff.py",
            "test_first_polls_are_spread_evenly_and_none_comes_late",
        ),
    ),
    Mutant(
        "an identity that came again is counted twice",
        "cdr_exporter/ledger/identities.py",
        "sum(each not in self for each in new)",
        "len(new)",
        _in(
            "tests/ledger/test_identities.py",
            "test_packed_identities_are_what_a_dict_of_them_would_be",
        ),
    ),
    Mutant(
        "identities are never packed",
        "cdr_exporter/ledger/identities.py",
        "len(recent) <= max(_RECENT, len(self._keys) // _SHARE)",
        "True",
        _in(
            "tests/ledger/test_identities.py",
            "test_identities_stay_packed_however_many_come_at_a_time",
        ),
    ),
    Mutant(
        "what was read when a state was opened stands, whatever was written since",
        _STORE,
        "and found.whole == self._rows.whole",
        "",
        _in(
            "tests/store/test_store.py",
            "test_what_another_wrote_after_the_check_of_the_file_is_loaded",
        ),
    ),
    Mutant(
        "each PBX has its own texts of labels",
        "cdr_exporter/store/series_rows.py",
        "tuple(map(intern, labels))",
        "labels",
        _in(
            "tests/store/test_store.py",
            "test_states_of_two_pbxs_share_the_texts_of_their_labels",
        ),
    ),
)

REQUESTS_ARE_SENT_ONCE_AND_IN_TIME = (
    Mutant(
        "a request that was not answered is sent again",
        _HTTP_ADAPTER,
        "super().__init__()\n        self._tls_policy",
        "super().__init__(max_retries=1)\n        self._tls_policy",
        _in(_SOCKETS, "test_a_connection_lost_before_any_answer_is_not_made_again"),
    ),
    Mutant(
        "redirects are followed",
        "cdr_exporter/pbx/transport.py",
        "self._adapter.send(prepared",
        "[s := requests.Session(), s.mount('http://', self._adapter)][0].send(prepared",
        _in(_SOCKETS, "test_a_redirect_is_not_followed_and_its_body_not_read"),
    ),
    Mutant(
        "proxies of the environment are used",
        "cdr_exporter/pbx/transport.py",
        "self._adapter.send(prepared",
        "self._adapter.send(prepared, proxies=requests.utils.getproxies()",
        _in(_SOCKETS, "test_proxies_and_netrc_of_the_environment_are_ignored"),
    ),
    Mutant(
        "cookies are kept and sent",
        _HTTP_ADAPTER,
        "del headers[name]",
        "pass",
        _in(_SOCKETS, "test_cookies_are_neither_kept_nor_parsed"),
    ),
    Mutant(
        "a certificate other than the pinned one is accepted",
        _PBX_CONNECTION,
        "return policy.pin_error(secured.getpeercert(binary_form=True), self.server)",
        "return None",
        _in(_SOCKETS, "test_with_another_fingerprint_no_byte_of_the_request_is_sent"),
    ),
    Mutant(
        "each read has a deadline of its own",
        _PBX_CONNECTION,
        "seconds = self._deadline - self._monotonic()",
        "seconds = 0.3",
        _in(_SOCKETS, "test_the_deadline_is_for_the_whole_request"),
    ),
    Mutant(
        "a revocation under way is ended by the end of the program",
        "cdr_exporter/pbx/transport.py",
        "self._cancellable = None if even_if_cancelled else connection",
        "self._cancellable = connection",
        _in(
            "tests/pbx/test_client_sockets.py",
            "test_cancel_does_not_end_a_revocation_under_way",
        ),
    ),
)

_LOGIN = "cdr_exporter/pbx/login.py"
_ATTEMPT_RULES = "cdr_exporter/pbx/attempt_rules.py"
_ATTEMPT_RECORD = "cdr_exporter/pbx/attempt_record.py"
_SMALL_FILES = "cdr_exporter/small_files.py"
_REFUSED_LOGINS = "tests/pbx/test_refused_logins.py"
_REPLICAS = "tests/pbx/test_logins_of_replicas.py"
_MAY_SEND = "tests/pbx/test_may_send.py"
_DOCUMENTS = "cdr_exporter/database/documents.py"
_DOCUMENT_TESTS = "tests/database/test_documents.py"
_WHATEVER_HAPPENS = _in(_REFUSED_LOGINS, "test_whatever_happens_no_fifth_login_in_a_row_is_refused")

LOGINS_AND_SECRETS = (
    Mutant(
        "each entry of a configuration has a record of refused logins of its own",
        _LOGIN,
        "record = AttemptRecord(self._documents, names)",
        'record = AttemptRecord(self._documents, [f"{n}-{self._pbx.name}" for n in names])',
        _WHATEVER_HAPPENS,
    ),
    Mutant(
        "a login is sent without being on record",
        _LOGIN,
        "            return lambda known: attempt_rules.added(known, attempt)",
        "            return lambda known: known",
        _WHATEVER_HAPPENS,
    ),
    Mutant(
        "a login that others took off the record is sent all the same",
        _LOGIN,
        "self._may_send() and all(lock.is_held() for lock in locks)",
        "self._may_send()",
        _in(_REPLICAS, "test_a_login_that_others_took_off_the_record_is_not_sent_later"),
    ),
    Mutant(
        "who takes a PBX over waits for the lock of who had it before",
        _LOGIN,
        "        state = self._kept.look(self._wall())",
        "        state = TokenState()",
        _in(
            "tests/pbx/test_client.py",
            "test_a_token_on_record_is_used_although_a_dead_process_still_has_its_lock",
        ),
    ),
    Mutant(
        "a token is asked for by who may not send",
        _LOGIN,
        "self._may_send() and all(lock.is_held() for lock in locks)",
        "all(lock.is_held() for lock in locks)",
        _in(_MAY_SEND, "test_nothing_is_sent_by_who_stood_still_until_its_lease_had_ended"),
    ),
    Mutant(
        "a token is written by who may not send",
        _LOGIN,
        "        if not self._may_send():\n            raise not_allowed()\n",
        "",
        _in(_MAY_SEND, "test_wherever_the_lease_ends_no_request_and_no_token_follows"),
    ),
    Mutant(
        "a page is asked for by who may not send",
        "cdr_exporter/pbx/client.py",
        "            may_send=self._may_send,\n        )\n        try:",
        "        )\n        try:",
        _in(_MAY_SEND, "test_wherever_the_lease_ends_no_request_and_no_token_follows"),
    ),
    Mutant(
        "the body of a login follows its head though the PBX is another's by then",
        "cdr_exporter/pbx/connection.py",
        "            self.check_may_send()\n            self.sent = True\n",
        "            self.sent = True\n",
        _in(_MAY_SEND, "test_it_is_asked_before_each_step_that_sends_something"),
    ),
    Mutant(
        "a success that is told late frees refusals that came after it",
        _LOGIN,
        "lambda attempts: attempt_rules.without(attempts, freed), self._wall()",
        "lambda attempts: (), self._wall()",
        _in(_REPLICAS, "test_a_success_that_is_told_late_frees_no_refusal_that_came_after_it"),
    ),
    Mutant(
        "a token is written over one that another process wrote meanwhile",
        "cdr_exporter/pbx/token_document.py",
        "if self._known is not None and found[self._name] not in self._known:",
        "if False:",
        _in(_REPLICAS, "test_a_token_is_not_written_over_one_that_came_meanwhile"),
    ),
    Mutant(
        "two changes of a record in the database at once are one",
        _DOCUMENTS,
        '_READ_FOR_CHANGE = f"{_READ} ORDER BY name FOR UPDATE"',
        "_READ_FOR_CHANGE = _READ",
        _in(_DOCUMENT_TESTS, "test_changes_at_once_without_a_claim_are_made_one_after_another"),
    ),
    Mutant(
        "a claim is relied on for its whole time, by another clock",
        _DOCUMENTS,
        "_SURE = 5 / 6",
        "_SURE = 1",
        _in(_DOCUMENT_TESTS, "test_its_owner_counts_it_from_before_he_asked_less_a_sixth"),
    ),
    Mutant(
        "who lost his claim gives up that of another",
        _DOCUMENTS,
        "    WHERE name = ANY(%s) AND locked_by = %s",
        "    WHERE name = ANY(%s) AND locked_by <> %s",
        _in(_DOCUMENT_TESTS, "test_who_lost_his_claim_does_not_give_up_that_of_another"),
    ),
    Mutant(
        "a PBX is told by its name only",
        _ATTEMPT_RECORD,
        "hosts = {host, *(str(address[4][0]) for address in addresses)}",
        "hosts = {host}",
        _WHATEVER_HAPPENS,
    ),
    Mutant(
        "a PBX is told by its addresses only",
        _ATTEMPT_RECORD,
        "hosts = {host, *(str(address[4][0]) for address in addresses)}",
        "hosts = {str(address[4][0]) for address in addresses}",
        _in(
            _REFUSED_LOGINS,
            "test_a_name_that_moves_to_another_address_takes_its_refusals_along",
        ),
    ),
    Mutant(
        "a login without an answer is never taken for a refusal",
        _ATTEMPT_RULES,
        "return self.errcode is not None or not self.proven",
        "return self.errcode is not None",
        _WHATEVER_HAPPENS,
    ),
    Mutant(
        "a slow PBX ends a secret that had worked",
        _ATTEMPT_RULES,
        "return self.errcode is not None or not self.proven",
        "return True",
        _in(
            _REFUSED_LOGINS,
            "test_a_pbx_that_is_slow_for_days_does_not_end_a_secret_that_had_worked",
        ),
    ),
    Mutant(
        "logins without an answer count as before where their secret was refused since",
        _ATTEMPT_RULES,
        "proven=each.proven and each.secret != attempt.secret",
        "proven=each.proven",
        _in(_REFUSED_LOGINS, "test_logins_without_an_answer_count_as_refused_once_their_secret_is"),
    ),
    Mutant(
        "the success of one client_id frees all",
        _LOGIN,
        "        if not login.at_risk:\n",
        "        if False:\n",
        _in(_REFUSED_LOGINS, "test_the_success_of_another_client_id_frees_nothing"),
    ),
    Mutant(
        "HTTP 401 to a login is no refusal",
        _LOGIN,
        "return failure.status != _UNAUTHORIZED",
        "return True",
        _WHATEVER_HAPPENS,
    ),
    Mutant(
        "a damaged record is as none",
        _ATTEMPT_RECORD,
        "            return _UNKNOWN\n",
        "            return ()\n",
        _in(
            _REFUSED_LOGINS,
            "test_a_damaged_record_lets_nobody_log_in_until_a_person_says_so",
        ),
    ),
    Mutant(
        "one last try is a login of each entry",
        _LOGIN,
        "return since is not None and all(attempt.at < since for attempt in attempts)",
        "return since is not None",
        _in(_REFUSED_LOGINS, "test_one_last_try_is_one_login_whatever_the_configuration_holds"),
    ),
    Mutant(
        "a person waits where the PBX counts no tries",
        _LOGIN,
        "self._person is None\n            and state.imposed_wait is not None",
        "state.imposed_wait is not None",
        _in(_REFUSED_LOGINS, "test_a_person_gets_a_try_at_once_where_the_pbx_counts_none"),
    ),
    Mutant(
        "a person who asks makes the wait longer",
        _LOGIN,
        "if self._person is None or not is_known:",
        "if True:",
        _in(_REFUSED_LOGINS, "test_a_person_who_asks_makes_the_wait_of_the_exporter_no_longer"),
    ),
    Mutant(
        "what stands around a secret is sent with it",
        "cdr_exporter/settings/values.py",
        'inner = _AROUND.sub("", text)',
        "inner = text",
        _in(
            "tests/pbx/test_credentials.py", "test_what_an_editor_puts_around_a_secret_is_left_out"
        ),
    ),
    Mutant(
        "a secret is read from whatever is at its path",
        _SMALL_FILES,
        "if not stat.S_ISREG(mode):",
        "if False:",
        _in("tests/pbx/test_credentials.py", "test_what_is_no_regular_file_is_refused_at_once"),
    ),
    Mutant(
        "the log has the PBX's own words",
        "cdr_exporter/pbx/client.py",
        "            return replace(answer, errmsg=None)",
        "            log.debug(answer.errmsg)\n            return replace(answer, errmsg=None)",
        (
            "tests/faults/test_secrets.py::test_no_fault_at_any_endpoint_shows_a_secret_or_a_person"
            "[errcode 99999-cdr/list]",
        ),
    ),
)

_THRESHOLDS = "prometheus/rules/cdr-thresholds.yml"
_TROUBLES = "tests/prometheus/test_troubles.py"
_IN_TIME = f"{_TROUBLES}::test_troubles_are_told_in_time_until_they_are_over"
_SILENT = f"{_TROUBLES}::test_a_month_without_troubles_has_one_false_alarm_at_most"

TROUBLES_ARE_TOLD = (
    Mutant(
        "a dead trunk is told after fifty refused calls",
        _THRESHOLDS,
        "failed_records\n        expr: 5",
        "failed_records\n        expr: 50",
        (f"{_IN_TIME}[20-1]", f"{_IN_TIME}[250-1]"),
    ),
    Mutant(
        "an office is open on a public holiday when one person is there",
        _THRESHOLDS,
        "open_ratio\n        expr: 0.35",
        "open_ratio\n        expr: 0",
        (f"{_SILENT}[250-1]",),
    ),
    Mutant(
        "half a standard deviation is no chance",
        _THRESHOLDS,
        ":deviations\n        expr: 3.5",
        ":deviations\n        expr: 0.5",
        (f"{_SILENT}[250-1]",),
    ),
    Mutant(
        "fraud by night is told only of forty calls",
        _THRESHOLDS,
        "out_of_hours_talk_records\n        expr: 4",
        "out_of_hours_talk_records\n        expr: 40",
        (f"{_IN_TIME}[250-1]",),
    ),
    Mutant(
        "fraud by day is told only of ten hours of talk",
        _THRESHOLDS,
        "outbound_talk_seconds\n        expr: 3600",
        "outbound_talk_seconds\n        expr: 36000",
        (f"{_IN_TIME}[250-1]",),
    ),
    Mutant(
        "what is over goes on for eight hours",
        "prometheus/rules/cdr-telephony.yml",
        'outcome!="answered", window=~"1h|2h|4h|8h"',
        'outcome!="answered", window=~"8h"',
        (f"{_IN_TIME}[250-1]",),
    ),
)

THE_COMMAND_LINE_EXPLAINS_ITSELF = (
    Mutant(
        "the help of a command ends without its manual",
        "cdr_exporter/commands/flags.py",
        "parser.epilog = text",
        'parser.epilog = ""',
        _in(
            "tests/test_cli.py",
            "test_help_says_how_it_ends_and_has_examples_that_are_understood",
        ),
    ),
    Mutant(
        "the line about the start names every PBX",
        "cdr_exporter/commands/run.py",
        "settings.pbxs[:MOST_NAMED]",
        "settings.pbxs",
        _in("tests/commands/test_run.py", "test_of_many_pbxs_the_start_names_a_few"),
    ),
    Mutant(
        "a shell offers no files",
        "cdr_exporter/commands/completion.py",
        "if action.metavar in kinds:",
        "if not kinds:",
        _in("tests/commands/test_completion.py", "test_bash_offers_files_where_one_is_asked_for"),
    ),
)

_WEB_SERVER = "tests/web/test_server.py"
_WEB_TLS = "tests/web/test_server_tls.py"
_WEB_CONFIG = "cdr_exporter/web/web_config_file.py"

CLIENTS_HOLD_UP_NOBODY = (
    Mutant(
        "a handshake has no deadline",
        "cdr_exporter/web/connection.py",
        "asyncio.timeout(self._deadlines.handshake)",
        "asyncio.timeout(None)",
        _in(_WEB_TLS, "test_a_client_that_does_not_shake_hands_is_closed"),
    ),
    Mutant(
        "taking the response has no deadline",
        "cdr_exporter/web/connection.py",
        "asyncio.timeout(self._deadlines.response):\n                await self._answer(await",
        "asyncio.timeout(None):\n                await self._answer(await",
        _in(_WEB_SERVER, "test_a_client_that_never_reads_is_closed"),
    ),
    Mutant(
        "one address may have all connections",
        "cdr_exporter/web/connection_table.py",
        "if known is not None and known.count >= self._limit_per_client:",
        "if known is not None and known.count < 0:",
        _in(_WEB_SERVER, "test_one_address_with_busy_connections_leaves_room_for_others"),
    ),
    Mutant(
        "clients that take nothing keep others out",
        "cdr_exporter/web/connection_table.py",
        "or _first((client.busy for client in largest_first), now - STUCK_SECONDS)",
        "",
        _in(
            "tests/web/test_connection_table.py",
            "test_clients_that_take_nothing_keep_nobody_out_for_longer_than_five_seconds",
        ),
    ),
    Mutant(
        "connections may have the file numbers of the pollers",
        "cdr_exporter/web/file_numbers.py",
        "left = files - FILES_OF_PROCESS - FILES_PER_PBX * pbxs",
        "left = files",
        _in("tests/web/test_file_numbers.py", "test_connections_get_what_the_pollers_do_not_need"),
    ),
    Mutant(
        "a request follows on one that had a body",
        "cdr_exporter/web/connection.py",
        "            self._is_last = True\n            size +=",
        "            size +=",
        _in(_WEB_SERVER, "test_a_bad_request_is_refused_once_and_the_next_client_is_served"),
    ),
)

WHO_GETS_IN = (
    Mutant(
        "an unknown key is ignored",
        "cdr_exporter/config/reading.py",
        "        for key in unknown:",
        "        for key in ():",
        _in("tests/config/test_web_config.py", "test_what_cannot_be_done_is_refused_in_words"),
    ),
    Mutant(
        "any certificate of the CA will do, whatever its name",
        "cdr_exporter/web/streams.py",
        "self._policy.check(self._tls)",
        "pass",
        _in(_WEB_TLS, "test_a_client_is_let_in_by_its_certificate"),
    ),
    Mutant(
        "half a file takes the logins away",
        _WEB_CONFIG,
        "self._not_less(self._read())",
        "self._read()",
        _in(_WEB_TLS, "TestTheFileWhileItChanges"),
    ),
    Mutant(
        "an unknown name is refused at once, and so can be told from a known one",
        "cdr_exporter/web/logins.py",
        "        key = self._digest(name, hashed, password)\n",
        "        if name not in users:\n            return Verdict.WRONG\n"
        "        key = self._digest(name, hashed, password)\n",
        _in("tests/web/test_logins.py", "test_an_unknown_name_takes_as_long_as_a_known_one"),
    ),
    Mutant(
        "a login is remembered by its name alone",
        "cdr_exporter/web/logins.py",
        "(name.encode(), hashed.encode(), password)",
        "(name.encode(),)",
        _in(
            "tests/web/test_logins.py",
            "test_a_login_that_is_remembered_lets_no_other_password_or_name_in",
        ),
    ),
)

_FLEET = "cdr_exporter/commands/fleet.py"
_RELOAD_TESTS = "tests/commands/test_reload.py"

A_RELOAD_TOUCHES_NOBODY_ELSE = (
    Mutant(
        "a reload begins every PBX anew",
        _FLEET,
        "if name in new and old[name] != new[name]]",
        "if name in new]",
        _in(_RELOAD_TESTS, "test_the_same_file_changes_nothing"),
    ),
    Mutant(
        "a token is kept for another account",
        _FLEET,
        "return pbx.base_url, pbx.client_id",
        "return pbx.base_url, pbx.name",
        _in(_RELOAD_TESTS, "test_a_token_is_kept_for_the_same_account_only"),
    ),
    Mutant(
        "other buckets are taken while it runs",
        "cdr_exporter/commands/reload.py",
        '"lease", "buckets")',
        '"lease")',
        _in(_RELOAD_TESTS, "test_what_needs_a_restart_is_refused"),
    ),
)

_REPLICAS = "cdr_exporter/web/replicas.py"
_DISCOVERY = "cdr_exporter/web/discovery.py"
_TEST_REPLICAS, _TEST_ELSEWHERE = "tests/web/test_replicas.py", "tests/web/test_elsewhere.py"
_EACH_HOLDER = "test_service_discovery_names_the_holder_of_each_pbx_or_the_last_or_itself"

EACH_PBX_IS_SCRAPED_AT_ITS_HOLDER = (
    Mutant(
        "without the database service discovery names fewer PBXs",
        _REPLICAS,
        "TimeoutError):\n            raise HoldersUnknown(_UNKNOWN) from None",
        "TimeoutError):\n            return {}",
        _in(
            _TEST_ELSEWHERE,
            "test_without_the_database_service_discovery_names_nobody_rather_than_some",
        ),
    ),
    Mutant(
        "a PBX that the database does not name is left out",
        _REPLICAS,
        "{name: answer.get(name) for name in self.names}",
        "answer",
        _in(_TEST_REPLICAS, "test_each_pbx_of_the_configuration_has_its_holder_in_their_order"),
    ),
    Mutant(
        "every PBX is scraped at the replica that was asked",
        _DISCOVERY,
        "holder.address if holder else address",
        "address",
        _in(_TEST_ELSEWHERE, _EACH_HOLDER),
    ),
    Mutant(
        "a PBX that nobody holds is scraped at another replica than its last",
        _DISCOVERY,
        "holder.address if holder else address",
        "holder.address if holder and holder.held else address",
        _in(_TEST_ELSEWHERE, _EACH_HOLDER),
    ),
    Mutant(
        "targets of replicas that serve TLS are scraped without",
        _DISCOVERY,
        '{"__scheme__": "https"} if has_tls else {}',
        "{}",
        _in(_TEST_ELSEWHERE, "test_all_targets_speak_tls_where_this_replica_does"),
    ),
    Mutant(
        "an answer is given that is older than a lease",
        _REPLICAS,
        "        if self._left(question) < 0:",
        "        if False:",
        _in(_TEST_REPLICAS, "test_an_answer_that_took_too_long_is_given_to_nobody"),
    ),
    Mutant(
        "a database that stands still holds up all threads",
        _REPLICAS,
        "_PLACES = 2",
        "_PLACES = 4",
        _in(_TEST_REPLICAS, "test_two_threads_at_most_wait_for_a_database_that_stands_still"),
    ),
    Mutant(
        "scrapes ask the database",
        "cdr_exporter/web/app.py",
        "        if self._replicas and names[0] in self._replicas.names:",
        "        if self._replicas and names[0] in self._replicas.holders():",
        _in(_TEST_ELSEWHERE, "test_a_scrape_never_asks_the_database"),
    ),
)

_POOL = "cdr_exporter/database/pool.py"
_DB_FAILURES = "cdr_exporter/database/failures.py"
_DB_SCHEMA = "cdr_exporter/database/schema.py"
_DATABASE_TESTS = "tests/database/test_database.py"
_DB_FAILURES_TESTS = "tests/database/test_failures.py"
_DB_SCHEMA_TESTS = "tests/database/test_schema.py"
_WHATEVER_THE_DEFAULTS = _in(
    _DATABASE_TESTS, "test_each_transaction_is_durable_and_bounded_whatever_the_defaults_are"
)
_HANGS = _in(_DB_FAILURES_TESTS, "test_a_server_that_hangs_holds_nobody_for_half_a_lease")

THE_DATABASE_IS_DURABLE_AND_NEVER_WAITED_FOR = (
    Mutant(
        "a commit is answered before it is on the disk",
        _POOL,
        '"synchronous_commit": "on"',
        '"synchronous_commit": "off"',
        _WHATEVER_THE_DEFAULTS,
    ),
    Mutant(
        "the default of the user decides whether a commit is durable",
        _POOL,
        '        "synchronous_commit": "on",\n',
        "",
        _WHATEVER_THE_DEFAULTS,
    ),
    Mutant(
        "a session that stands still keeps its locks",
        _POOL,
        """        "idle_in_transaction_session_timeout": f"'{most}'",\n""",
        "",
        _WHATEVER_THE_DEFAULTS,
    ),
    Mutant(
        "a session that waits for who does not read keeps its locks",
        _POOL,
        'f"SET tcp_user_timeout = {math.ceil(limits.server * 1000)}"',
        '"SET tcp_user_timeout = 0"',
        _WHATEVER_THE_DEFAULTS,
    ),
    Mutant(
        "a statement may take for ever",
        _POOL,
        """        "statement_timeout": f"'{most}'",\n""",
        "",
        _in(_DB_FAILURES_TESTS, "test_a_statement_that_takes_too_long_is_ended"),
    ),
    Mutant(
        "a server that hangs is waited for",
        _POOL,
        "connection.patience = self._patience",
        "connection.patience = _Patience(9.0)",
        _HANGS,
    ),
    Mutant(
        "a limit is longer than half a lease",
        "cdr_exporter/database/database.py",
        "min(lease / 4, _MOST_SECONDS)",
        "min(lease / 2, _MOST_SECONDS)",
        _in(_DATABASE_TESTS, "test_every_limit_is_under_half_a_lease"),
    ),
    Mutant(
        "a commit without an answer is taken for one that was not done",
        _DB_FAILURES,
        'if error.diag.severity_nonlocalized == "ERROR":',
        "if True:",
        _in(_DB_FAILURES_TESTS, "test_a_commit_without_an_answer_is_in_doubt"),
    ),
    Mutant(
        "a commit that did not wait for its standby is taken for a safe one",
        _POOL,
        " and not warned:",
        ":",
        _in(
            _DB_FAILURES_TESTS,
            "test_a_commit_whose_wait_for_a_standby_is_ended_by_somebody_is_in_doubt",
        ),
    ),
    Mutant(
        "a transaction that was undone is taken for committed",
        _POOL,
        'if result.statusmessage == "COMMIT" and not warned:',
        "if not warned:",
        _in(
            _DATABASE_TESTS,
            "test_a_block_that_goes_on_after_a_failed_statement_fails_as_a_whole",
        ),
    ),
    Mutant(
        "a lost connection fails the transaction after it",
        _POOL,
        "if not connection.closed or self._patience.is_over(began):",
        "if True:",
        _in(_DB_FAILURES_TESTS, "test_after_a_restart_the_next_transaction_works"),
    ),
    Mutant(
        "each of several connections that hang is waited for in turn",
        _POOL,
        "if not connection.closed or self._patience.is_over(began):",
        "if not connection.closed:",
        _in(_DB_FAILURES_TESTS, "test_of_several_connections_that_hang_one_is_waited_for"),
    ),
    Mutant(
        "a standby is taken for a primary",
        _DB_FAILURES,
        'elif status(b"in_hot_standby") == b"on":',
        "elif False:",
        _in(_DB_FAILURES_TESTS, "test_a_standby_is_refused"),
    ),
    Mutant(
        "an error shows the text of the server",
        _DB_FAILURES,
        "return _error(_failure_of(error))",
        "return DatabaseError(str(error), reason=_failure_of(error).reason)",
        _in(_DB_FAILURES_TESTS, "test_a_value_that_is_refused_is_not_shown"),
    ),
    Mutant(
        "replicas that start at once make the schema twice",
        _DB_SCHEMA,
        '        transaction.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))\n',
        "",
        _in(_DB_SCHEMA_TESTS, "test_who_comes_second_waits_for_the_first"),
    ),
    Mutant(
        "tables of a newer version are used",
        _DB_SCHEMA,
        'found[0] == VERSION, "schema", _newer',
        'True, "schema", _newer',
        _in(_DB_SCHEMA_TESTS, "test_a_newer_version_is_refused"),
    ),
    Mutant(
        "check makes the schema",
        "cdr_exporter/commands/preflight.py",
        "return check_schema(database)",
        "return __import__('cdr_exporter.database').database.prepare_schema(database) or []",
        _in(
            "tests/commands/test_check_database.py",
            "test_a_database_that_can_be_used_is_valid_and_nothing_is_made_in_it",
        ),
    ),
    Mutant(
        "a URL in place of its file is shown",
        "cdr_exporter/settings/values.py",
        'if "://" in text or "password=" in text:',
        "if False:",
        _in(
            "tests/config/test_config.py",
            "test_a_mistake_is_one_line_that_says_where_what_and_what_to_do",
        ),
    ),
)

_LEASE_RULES, _LEASE = "cdr_exporter/leases/rules.py", "cdr_exporter/leases/lease.py"
_LEASE_TABLE, _KEEPER = "cdr_exporter/leases/table.py", "cdr_exporter/leases/keeper.py"
_LEASED_FLEET = "cdr_exporter/commands/leased_fleet.py"
_LEASE_RULE_TESTS, _TABLE_TESTS = "tests/leases/test_rules.py", "tests/leases/test_table.py"
_KEEPER_TESTS = "tests/leases/test_keeper.py"
_LEASED_FLEET_TESTS = "tests/commands/test_leased_fleet.py"

ONE_REPLICA_AT_A_TIME = (
    Mutant(
        "a lease counts to its very end",
        _LEASE_RULES,
        "_VALID_PART = 5 / 6",
        "_VALID_PART = 1",
        _in(_LEASE_RULE_TESTS, "test_a_lease_counts_here_a_sixth_less_than_in_the_database"),
    ),
    Mutant(
        "a lease counts from when the answer to its takeover came",
        _KEEPER,
        "        until = rules.valid_until(asked_at, self._lease_seconds)\n",
        "        until = rules.valid_until(self._clock.now().steady, self._lease_seconds)\n",
        _in(
            _KEEPER_TESTS,
            "test_one_that_stood_still_while_it_was_asking_counts_from_before_it_asked",
        ),
    ),
    Mutant(
        "a lease counts from when the answer to its renewal came",
        _KEEPER,
        "rules.valid_until(asked_at, self._lease_seconds), self._clock.now()",
        "rules.valid_until(self._clock.now().steady, self._lease_seconds), self._clock.now()",
        _in(_KEEPER_TESTS, "test_a_renewal_counts_from_before_it_was_asked_for"),
    ),
    Mutant(
        "a lease that has lapsed is valid again",
        _LEASE,
        "        if self.is_valid(now):\n",
        "        if True:\n",
        _in(_KEEPER_TESTS, "test_a_renewal_that_comes_too_late_makes_nothing_valid_again"),
    ),
    Mutant(
        "a lease is renewed under any epoch",
        _LEASE_TABLE,
        "USING (pbx, epoch)",
        "USING (pbx)",
        _in(_TABLE_TESTS, "test_renewing_goes_by_holder_and_epoch"),
    ),
    Mutant(
        "a lease is renewed that another replica has",
        _LEASE_TABLE,
        "  WHERE lease.holder = %(id)s\n  FOR",
        "  FOR",
        _in(_TABLE_TESTS, "test_renewing_goes_by_holder_and_epoch"),
    ),
    Mutant(
        "a PBX is taken whose lease has not ended by the clock of the database",
        _LEASE_TABLE,
        "(ends < clock_timestamp() OR holder",
        "(true OR holder",
        _in(
            _TABLE_TESTS,
            "test_a_lease_is_one_replicas_until_it_ends_and_then_has_another_epoch",
        ),
    ),
    Mutant(
        "a takeover waits for a replica that stands still",
        _LEASE_TABLE,
        "FOR NO KEY UPDATE SKIP LOCKED",
        "FOR NO KEY UPDATE",
        _in(_TABLE_TESTS, "test_a_row_that_is_locked_holds_up_no_takeover"),
    ),
    Mutant(
        "one row that is locked keeps all leases from being renewed",
        _LEASE_TABLE,
        '_RENEW.format(skip_locked=" SKIP LOCKED")',
        '_RENEW.format(skip_locked="")',
        _in(_TABLE_TESTS, "test_a_row_that_is_locked_holds_up_no_other_renewal"),
    ),
    Mutant(
        "what is given back is another replica's",
        _LEASE_TABLE,
        " AND lease.epoch = held.epoch AND lease.holder = %(id)s",
        "",
        _in(
            _TABLE_TESTS,
            "test_what_is_given_back_is_free_at_once_and_keeps_its_last_holder",
        ),
    ),
    Mutant(
        "replicas that have other PBXs make the share too small",
        _LEASE_TABLE,
        " AND pbxs = %(pbxs)s",
        "",
        _in(_TABLE_TESTS, "test_replicas_count_that_live_and_have_the_same_pbxs"),
    ),
    Mutant(
        "some PBXs are nobody's share",
        _LEASE_RULES,
        "-(-pbxs // max(1, replicas))",
        "pbxs // max(1, replicas)",
        _in(_LEASE_RULE_TESTS, "test_all_shares_together_are_no_less_than_all_pbxs"),
    ),
    Mutant(
        "at the end one PBX whose row is locked keeps the leases of all others",
        _KEEPER,
        "            if not self._stopping:\n                self._renew_locked(locked)",
        "            self._renew_locked(locked)",
        _in(_KEEPER_TESTS, "test_the_end_waits_for_no_row_that_is_locked"),
    ),
    Mutant(
        "a PBX is taken while its old thread still runs",
        _KEEPER,
        "here = {*self._held, *self._finishing, *self._lost}",
        "here = {*self._held, *self._finishing}",
        _in(
            _KEEPER_TESTS,
            "test_one_that_was_suspended_ends_what_it_held_and_takes_it_anew_after_that",
        ),
    ),
    Mutant(
        "what is given back is still shown while others take it",
        _KEEPER,
        "            lease.end()\n            self._released",
        "            self._released",
        _in(
            _KEEPER_TESTS,
            "test_what_is_given_back_is_shown_no_longer_before_others_can_take_it",
        ),
    ),
    Mutant(
        "a PBX is shown without a valid lease",
        _LEASED_FLEET,
        "[snapshot for snapshot in self._board.snapshots() if snapshot.pbx in valid]",
        "[snapshot for snapshot in self._board.snapshots() if valid or True]",
        _in(_LEASED_FLEET_TESTS, "test_what_has_lapsed_is_hidden_at_once_and_asks_nothing"),
    ),
    Mutant(
        "a PBX is asked without a valid lease",
        _LEASED_FLEET,
        "self._place.client(pbx, lambda: lease.is_valid(clock.now()))",
        "self._place.client(pbx, lambda: True)",
        _in(_LEASED_FLEET_TESTS, "test_what_has_lapsed_is_hidden_at_once_and_asks_nothing"),
    ),
    Mutant(
        "the end of a lease revokes the token that the next holder goes on with",
        _LEASED_FLEET,
        "        supervisor.keep_token()\n",
        "",
        _in(_LEASED_FLEET_TESTS, "test_the_end_gives_all_back_and_keeps_the_tokens"),
    ),
    Mutant(
        "a PBX that went and came back is polled by its old settings",
        _LEASED_FLEET,
        "(*change.gone, *change.changed)",
        "change.changed",
        _in(
            _LEASED_FLEET_TESTS,
            "test_what_goes_and_comes_back_as_another_at_once_is_polled_as_that",
        ),
    ),
    Mutant(
        "a replica that holds no PBX is never ready",
        _LEASED_FLEET,
        "self._was_ready or not missing",
        "self._was_ready or (bool(self.snapshots()) and not missing)",
        _in(_LEASED_FLEET_TESTS, "test_one_that_holds_none_is_ready"),
    ),
)

THE_PAGE_IS_WHAT_IT_WOULD_BE_MADE_ANEW = (
    Mutant(
        "a checksum is joined by the length of the wrong text",
        _MEASURE,
        "multiplied(left.crc, right.power) ^ right.crc,",
        "multiplied(left.crc, left.power) ^ right.crc,",
        _in(_MEASURE_TESTS, _TREE_TEST),
    ),
    Mutant(
        "a text of another length is taken for one of the same",
        _MEASURE,
        "return before.power if length == before.length else power(length)",
        "return before.power if before.length else power(length)",
        _in(_MEASURE_TESTS, "test_the_measure_of_another_text_owes_nothing_to_that_of_before"),
    ),
    Mutant(
        "what depends on a checksum stays as it was",
        _MEASURE,
        "touched = {node // 2 for node in touched}",
        "touched = set()",
        _in(_MEASURE_TESTS, _TREE_TEST),
    ),
    Mutant(
        "all checksums are joined again because one has changed",
        _MEASURE,
        "touched = {node // 2 for node in touched}",
        "touched = {*range(1, min(touched))}",
        _in(_MEASURE_TESTS, "test_a_change_costs_what_depends_on_it_and_no_more"),
    ),
    Mutant(
        "a piece does not end on a byte",
        "cdr_exporter/exposition/pieces.py",
        "zlib.Z_SYNC_FLUSH",
        "zlib.Z_PARTIAL_FLUSH",
        _in(
            "tests/exposition/test_pieces.py",
            "test_pieces_in_any_order_and_an_end_are_one_deflate_stream",
        ),
    ),
    Mutant(
        "of series that change beside each other only the first is written",
        "cdr_exporter/exposition/family_text.py",
        "                text = text.replace(",
        "                return text.replace(",
        _in(_PAGE_TESTS, "test_any_number_of_series_beside_each_other_may_change_at_once"),
    ),
    Mutant(
        "a piece is written again though nothing in it has changed",
        "cdr_exporter/exposition/family_text.py",
        "            elif new == old:",
        "            elif new is old:",
        _in(_PAGE_TESTS, "test_what_a_pbx_shares_with_the_last_page_is_not_compressed_again"),
    ),
    Mutant(
        "of the PBXs whose lines are together only the first are looked at",
        _PAGES,
        "for position in positions}",
        "for position in [*positions][:1]}",
        _in(_PAGE_TESTS, "test_each_of_many_pbxs_is_shown_as_it_is_now"),
    ),
    Mutant(
        "what failed once is never put on the page",
        _PAGES,
        "        for name, positions in _changed_families(self._texts, texts).items():",
        "        known, self._texts = self._texts, texts\n"
        "        for name, positions in _changed_families(known, texts).items():",
        _in(_PAGE_TESTS, "test_a_page_that_could_not_be_made_is_made_the_next_time"),
    ),
    Mutant(
        "a page that is being sent changes",
        _PAGES,
        "Row(tuple(self._blocks) if",
        "Row(self._blocks if",
        _in(_PAGE_TESTS, "test_what_was_handed_out_stays_what_it_was"),
    ),
    Mutant(
        "what is published is rendered by the scrape alone",
        "cdr_exporter/commands/exporter.py",
        "            self._app.render_ahead(_RENDER_SECONDS)\n",
        "",
        _in(_AHEAD_TESTS, "test_the_program_renders_ahead_while_it_waits"),
    ),
    Mutant(
        "a PBX that publishes page after page is rendered for nobody",
        "cdr_exporter/exposition/page.py",
        "        return is_old and not text",
        "        return not text",
        _in(_AHEAD_TESTS, "test_a_pbx_that_publishes_each_second_is_rendered_ahead_now_and_then"),
    ),
    Mutant(
        "an older snapshot is rendered over a newer one",
        "cdr_exporter/exposition/pbx_text.py",
        "            snapshot = newest\n",
        "            pass\n",
        _in(_AHEAD_TESTS, "test_an_older_snapshot_does_not_take_the_place_of_a_newer_one"),
    ),
    Mutant(
        "the text of a PBX that is gone stays in memory",
        "cdr_exporter/exposition/page.py",
        "for name, text in self._pbxs.items() if name in kept}",
        "for name, text in self._pbxs.items()}",
        _in(_PAGE_TESTS, "test_nothing_is_kept_of_a_pbx_that_is_no_longer_shown"),
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    *ONE_REPLICA_AT_A_TIME,
    *EACH_ROW_COUNTS_ONCE,
    *LINEAGE,
    *THE_ORDER_CHANGES,
    *THE_LIST_ENDS,
    *ROWS_ARE_READ_AROUND_ONE,
    *STATE_AS_A_VALUE,
    *COMMIT_THEN_PUBLISH,
    *EACH_CALL_COUNTS_ONCE,
    *OUR_CLOCK_MAY_BE_SET,
    *FILES_OF_THE_STATE_DIRECTORY,
    *COPIES_OF_THE_STATE,
    *THE_PREVIEW_IS_TRUE_AND_SHOWS_NOBODY,
    *BARS_ADD_UP,
    *CHARTS_SHOW_THE_CALLS_COUNTED,
    *THE_PAST_IS_WHAT_WAS_SHOWN,
    *OTHER_PROGRAMS,
    *SETTINGS,
    *A_THOUSAND_PBXS_FIT,
    *REQUESTS_ARE_SENT_ONCE_AND_IN_TIME,
    *LOGINS_AND_SECRETS,
    *TROUBLES_ARE_TOLD,
    *THE_COMMAND_LINE_EXPLAINS_ITSELF,
    *CLIENTS_HOLD_UP_NOBODY,
    *WHO_GETS_IN,
    *A_RELOAD_TOUCHES_NOBODY_ELSE,
    *EACH_PBX_IS_SCRAPED_AT_ITS_HOLDER,
    *THE_DATABASE_IS_DURABLE_AND_NEVER_WAITED_FOR,
    *THE_PAGE_IS_WHAT_IT_WOULD_BE_MADE_ANEW,
)
