"""What can happen to a PBX, by name.

Rule: each event is one method under the lock, taking data only, so that a test in the same
process and the control path (`POST /control/...`) say the same. What waits for requests waits
for those to `cdr/list` that are let in and ask well; `heal` forgets it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .examples import example_row
from .expected_counts import Outcomes, Totals, outcomes, totals
from .firmware import FIRST, Upgrade
from .leg_visibility import LegRow, PendingLegs, in_order_of_appearance
from .listing import Empty, Foreign, Listing, Shift, Spoilt, Stale
from .request_faults import Fault, Faults
from .rows import Row
from .scenarios import Draw, always, any_scenario, direct_scenario
from .table import CDRTable, Key, Snapshot, whole
from .traffic import Traffic
from .truth import SimulatedCall, moved

_STRANGER = "/another PBX"  # makes another seed of a seed


class Events:
    """A table of CDRs, its listing, and the events that move or spoil them."""

    def __init__(
        self,
        seed: int,
        clock: Callable[[], float],
        first_id: int,
        past: Traffic,
        utc_offset_seconds: int,
        legs_appear: str,
    ) -> None:
        self.table = CDRTable(first_id, seed)
        self.snapshots: dict[str, Snapshot] = {}
        self.stranger: CDRTable | None = None
        self.clock_offset = 0
        self._seed = seed
        self._clock = clock
        self._past = past
        self._utc_offset_seconds = utc_offset_seconds
        self._appearing = PendingLegs(legs_appear)
        self._sampled = 0
        self._faults = Faults()
        self._lock = threading.RLock()
        self._listing = Listing(self.table, self.shift)

    # Rows come.

    def call(self, **fields: Any) -> Row:
        """Let one call end now and return its row; *fields* overwrite those of an example.

        Durations follow from the disposition, `duration` and `timestamp` from the durations.
        None leaves a field out; rows of one `uid` are legs of one call. ValueError: the `id`
        is taken. KeyError: the clean-up took the row at once.
        """
        with self._lock:
            (key,) = self.table.insert([self._example(fields)])
            return self.table[key]

    def calls(self, count: int, *, over_seconds: float = 0.0) -> list[Key]:
        """Let *count* made-up calls end, over the last *over_seconds*, and return their keys.

        Each is one leg, and so one row.
        """
        with self._lock:
            return self._show(self._sample(count, over_seconds, direct_scenario))

    def whole_calls(
        self, count: int = 1, scenario: str | None = None, over_seconds: float = 0.0
    ) -> list[Key]:
        """Let *count* made-up calls of any number of legs end, over the last *over_seconds*.

        *scenario* names what comes of them, see `SCENARIOS`; None: what the office's calls come
        to. Returns the keys of all their rows, in the order in which legs appear: call by call,
        or by the ends of legs. ValueError: there is no such scenario.
        """
        with self._lock:
            return self._show(self._sample(count, over_seconds, _drawing(scenario)))

    def begin_call(self, scenario: str | None = None) -> list[int]:
        """Let a call begin now, whose legs appear by `tick` as the clock passes their instants.

        Returns these (UTC epoch seconds), in their order: all the end of the call, or the end of
        each leg. ValueError: there is no such scenario.
        """
        with self._lock:
            call = self._past.begun(self._sampled, self._clock(), _drawing(scenario))
            self._sampled += 1
            self._begin([call])
            return sorted(self._appearing.instants(call))

    def hold_back(self, count: int = 1, scenario: str | None = None, **fields: Any) -> list[Key]:
        """Let *count* calls end now whose rows stay invisible, and return their keys.

        The keys are theirs from now on, so that later rows have higher ids. With *fields* the
        calls are examples as in `call`; with *scenario* they are as in `whole_calls`, and the
        keys are those of their legs in the order in which these appear; else they are one row
        each. ValueError: there is no such scenario, or *fields* beside it.
        """
        if scenario is not None and fields:
            raise ValueError("either a scenario or fields")
        with self._lock:
            if not fields:
                drawing = direct_scenario if scenario is None else always(scenario)
                legs = self._sample(count, 0.0, drawing)
                return self.table.hold_back(self._expected(legs))
            return [
                key
                for _ in range(whole(count))
                for key in self.table.hold_back([self._example(fields)])
            ]

    def release(self, keys: Iterable[Key] | None = None, *, oldest: int | None = None) -> list[Key]:
        """Show the rows held back of *keys*, or the *oldest* so many, or all; return the keys.

        KeyError: a row is not held back.
        """
        with self._lock:
            held = self.table.held if oldest is None else self.table.held[: whole(oldest)]
            return self.table.release(held if keys is None else list(keys))

    def change(self, row_id: Key, **fields: Any) -> Row:
        """Overwrite fields of one row word for word, odd values included; None removes one."""
        with self._lock:
            return self.table.change(row_id, fields)

    # Rows go.

    def delete(self, ids: Iterable[Key]) -> int:
        """Delete the rows of *ids* (keys) and return how many there were."""
        with self._lock:
            return self.table.delete(ids)

    def delete_oldest(self, count: int) -> int:
        """Delete the *count* rows that came first, as the PBX's clean-up does."""
        with self._lock:
            return self.table.delete(self.table.oldest(count))

    def delete_newest(self, count: int, *, reuse_ids: bool = False) -> int:
        """Delete the *count* rows that came last; with *reuse_ids* their ids are given again."""
        with self._lock:
            deleted = self.table.delete(self.table.newest(count))
            if reuse_ids:
                self.table.reuse_ids()
            return deleted

    def delete_middle(self, count: int) -> int:
        """Delete *count* rows in the middle between the oldest and the newest."""
        with self._lock:
            return self.table.delete(self.table.middle(count))

    def limit(self, rows: int | None) -> int:
        """Keep at most *rows* rows from now on, deleting the oldest at each insert; None: all.

        Returns how many are deleted at once.
        """
        with self._lock:
            self.table.limit = None if rows is None else whole(rows)
            return self.table.trim()

    # The table is put in another's place.

    def clear(self, first_id: int = 1) -> None:
        """Delete every row and begin ids again at *first_id*."""
        with self._lock:
            self.table.clear(whole(first_id))

    def factory_reset(self) -> None:
        """Begin anew: no rows, none held back, ids from 1."""
        self.clear()

    def snapshot(self, name: str | None = None) -> Snapshot:
        """Take a backup of the rows, also kept in `snapshots` under *name*."""
        with self._lock:
            taken = self.table.snapshot()
            if name is not None:
                self.snapshots[name] = taken
            return taken

    def restore(self, snapshot: Snapshot | str) -> None:
        """Put a backup back, or the one of that name: its rows, then ids from its highest on.

        What came since is gone, its ids are given again to other rows. KeyError: no such name.
        """
        with self._lock:
            taken = self.snapshots[snapshot] if isinstance(snapshot, str) else snapshot
            self.table.restore(taken)

    def upgrade(self, order: str = FIRST, mixed: float = 0.0, count_listed: bool = False) -> None:
        """Let newer firmware write the rows from now on: `new_id`, no `id`, no `reason`.

        See `Upgrade` for *order*, *mixed*, *count_listed*; the rows there are stay as they are.
        """
        with self._lock:
            self.table.upgrade = Upgrade(order, mixed, count_listed)

    def set_clock(self, ahead: int) -> None:
        """Let the PBX's clock be *ahead* seconds of the true time (negative: behind).

        Only new rows show it, tokens do not; a second call is a jump of the clock.
        """
        with self._lock:
            self.clock_offset = int(ahead)

    # Answers go wrong.

    def shift_before_each(self, times: int | None = 1, after: int = 0, **shift: Any) -> None:
        """Move the table just before each of *times* answers, *after* undisturbed ones.

        *shift* holds the fields of a `Shift`: calls, oldest, middle, newest, release,
        reuse_ids. Before the third answer only: `after=2`.
        """
        with self._lock:
            self._listing.shifts.add(Shift(**shift), times, after)

    def shift(self, shift: Shift) -> None:
        """Carry out a `Shift` now."""
        with self._lock:
            self.calls(shift.calls)
            self.delete_oldest(shift.oldest)
            self.delete_middle(shift.middle)
            self.delete_newest(shift.newest, reuse_ids=shift.reuse_ids)
            self.release(oldest=shift.release)

    def empty(self, times: int | None = 1, errcode: int = 0, after: int = 0) -> None:
        """Answer *times* requests as if there were no rows, the database not being up yet.

        *errcode* 0 is a success of 0 rows; 60001 says DATA NOT FOUND.
        """
        with self._lock:
            self._listing.sources.add(Empty(errcode), times, after)

    def foreign(
        self, times: int | None = 1, rows: int = 100, first_id: int = 1, after: int = 0
    ) -> None:
        """Let another PBX answer *times* requests: the same tokens, rows of another table.

        That table, `stranger`, is made at the first call, of *rows* calls in the last hour with
        ids from *first_id*; later calls meet the same one again. Its rows count nowhere.
        """
        with self._lock:
            if self.stranger is None:
                self.stranger = self._another(rows, first_id)
            self._listing.sources.add(Foreign(self.stranger), times, after)

    def stale(self, times: int | None = 1, same_query: bool = False, after: int = 0) -> None:
        """Answer *times* requests with the last answer of this table, whatever they ask.

        With *same_query* with the last answer to the same page, as a cache does. A request
        for which there is none yet gets its true answer and is not one of the *times*.
        """
        with self._lock:
            self._listing.sources.add(Stale(same_query), times, after)

    def spoil_pages(self, kind: str, n: Any = None, times: int | None = 1, after: int = 0) -> None:
        """Spoil *times* pages, None all that follow, in the way of *kind*: see `pages`."""
        with self._lock:
            self._listing.spoilt.add(Spoilt(kind, n), times, after)

    def poison(self, kind: str, row: Key | None = None) -> Key:
        """Send one row, the newest unless named, in the way of *kind* from now on: see `poison`.

        Returns its key. The table, and so `totals` and `ever`, keep the true row. KeyError: no
        such row, ValueError: no such kind, or no row at all.
        """
        with self._lock:
            (key,) = self.table.newest(1) if row is None else [row]
            self._listing.poison(key, kind)
            return key

    def cure(self) -> None:
        """Send every poisoned row as it is again."""
        with self._lock:
            self._listing.poisoned.clear()

    def slow(self, rows_per_second: float | None) -> None:
        """Let each answer take as long as its rows at *rows_per_second*; None: no time at all."""
        if rows_per_second is not None and not rows_per_second > 0:
            raise ValueError(f"rows_per_second {rows_per_second!r} is not above 0")
        with self._lock:
            self._listing.rows_per_second = rows_per_second

    def fail_next(self, times: int = 1, **fault: Any) -> None:
        """Let the next *times* requests go wrong; *fault* holds the fields of a `Fault`.

        TypeError: there is no such field.
        """
        with self._lock:
            self._faults.add(Fault(**fault), times)

    def heal(self) -> None:
        """Forget what waits for requests; poisoned rows stay until `cure`."""
        with self._lock:
            self._faults.clear()
            self._listing.clear()

    # The judge counts.

    def totals(self) -> Totals:
        """Count the rows there are, all of them, by (disposition, call_type, trunk)."""
        with self._lock:
            return totals(self.table)

    def ever(self) -> Totals:
        """Count the rows that were ever visible, by (disposition, call_type, trunk).

        Each counts once, as it was when it came, also where no request saw it; a restore and
        another PBX add none.
        """
        with self._lock:
            return dict(self.table.ever)

    def outcomes(self) -> Outcomes:
        """Count the calls of which every leg was ever visible, by (outcome, call_type, trunk).

        Each counts once, by what truly came of it; rows of `call` are none of these.
        """
        with self._lock:
            return outcomes(self.table.calls.ever)

    def _example(self, fields: dict[str, Any]) -> Row:
        ended = int(self._clock()) + self.clock_offset
        return example_row(fields, ended, self.table.next_serial, self._utc_offset_seconds)

    def _sample(self, count: int, over_seconds: float, scenario: Draw) -> list[LegRow]:
        """Return the legs of *count* calls that have ended, as they appear."""
        first, self._sampled = self._sampled, self._sampled + whole(count)
        made = self._past.sample(count, first, self._clock(), over_seconds, scenario)
        return in_order_of_appearance(
            ((call, self._written(call)) for call in made), self._appearing.way
        )

    def _begin(self, calls: Iterable[SimulatedCall]) -> None:
        """Let *calls* appear leg by leg; all legs have the clock that the first one has."""
        for call in calls:
            self._appearing.add(call, self._written(call))

    def _show(self, legs: Iterable[LegRow]) -> list[Key]:
        return self.table.insert(self._expected(legs))

    def _expected(self, legs: Iterable[LegRow]) -> Iterator[Row]:
        """Yield the rows of *legs* to the table, that takes one at a time, as what they are."""
        for row, call in legs:
            self.table.calls.expect(self.table.next_serial, call)
            yield row

    def _written(self, call: SimulatedCall) -> SimulatedCall:
        """Return *call* with the times that the PBX's clock shows."""
        if not self.clock_offset:
            return call
        return moved(call, self.clock_offset, self._utc_offset_seconds)

    def _another(self, rows: int, first_id: int) -> CDRTable:
        traffic = Traffic(f"{self._seed}{_STRANGER}", utc_offset_seconds=self._utc_offset_seconds)
        table = CDRTable(whole(first_id))
        calls = traffic.sample(whole(rows), 0, self._clock(), 3600)
        table.insert(leg for call in calls for leg in call.legs)
        return table


def _drawing(scenario: str | None) -> Draw:
    return any_scenario if scenario is None else always(scenario)
