"""Whether `total_number` counts rows that no page has shown, in the order by time. Pure.

By time, the row of a long call turns up deep in the list when the call ends. But `total_number`
then grows by more than the new rows that were found. So the list is read further down until they
are found, at once and not only with the next read of the whole window.

Known: `total_number` less the rows processed is the same before and after, as long as no row is
deleted and all rows were seen. Guessed: that none is deleted. On a PBX that deletes as many rows as
it adds, the total does not grow and tells nothing: there the seldom read finds the row. A total
that grows by rows that are shown nowhere is believed ever more rarely.
"""

from __future__ import annotations

from ..ledger.page import Page

_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0
"""Seconds until a total is believed again after a search in vain; each one doubles the wait."""


class UnseenRows:
    """The growth of one list that new rows do not explain, from poll to poll; never stored."""

    def __init__(self) -> None:
        self._processed = 0
        self._excess: int | None = None
        """`total_number` less the rows processed, by the last page."""
        self._known_excess: int | None = None
        """The same when the last poll ended."""
        self._wait = _FIRST_WAIT
        self._believed_from = float("-inf")

    def record_page(self, page: Page, new_rows: int) -> None:
        """Note *page*, of which *new_rows* rows were seen for the first time."""
        self._processed += new_rows
        self._excess = None if page.total is None else page.total - self._processed

    def are_there(self, steady: float) -> bool:
        """Say whether there are such rows, and it is time to search for them (steady clock)."""
        return self._are_there and steady >= self._believed_from

    @property
    def _are_there(self) -> bool:
        excess, known = self._excess, self._known_excess
        return excess is not None and known is not None and excess > known

    def end_search(self, steady: float) -> None:
        """Note that the whole window was searched by *steady* (steady clock, seconds)."""
        if not self._are_there:
            self._wait = _FIRST_WAIT
            return
        self._believed_from = steady + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def end_poll(self) -> None:
        """Note that what was not found until now is not to be searched for any more."""
        self._known_excess = self._excess
