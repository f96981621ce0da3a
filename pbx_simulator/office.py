"""The office's calls, and how they become rows of the CDR table.

Rule: every public method holds the PBX's lock and takes and returns plain data, so that a test in
the same process and `POST /control/...` can ask for the same things.

There are two traffics of one seed: the history is made without `min_calls_per_minute`, live
calls with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .call_writing import as_displayed, as_newer_firmware
from .checks import checked_count
from .directory import BERLIN, Directory
from .examples import example_row
from .leg_visibility import AT_CALL_END, LegRow, PendingLegs, in_order_of_appearance
from .locking import Lock
from .pbx_clock import PBXClock
from .rows import DEFAULT_TIME_FORMAT, TIME_FORMATS, Row
from .scenarios import DrawName, always, any_scenario, direct_scenario
from .table import CDRTable, Key
from .traffic import OFFICE_HOURS, Habits, Traffic
from .truth import SimulatedCall

_PART_SECONDS = 3600
_OTHER_PBX_SEED = "/another PBX"


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficeSettings:
    """Which calls the office makes.

    *seed* picks the calls. *rate* multiplies them. *min_calls_per_minute* is the least rate of
    live calls, at night too; it leaves the history alone. The office opens, and times are
    displayed, at *utc_offset_seconds* from UTC, in *time_format*, one of `TIME_FORMATS`. Without
    *multi_leg* every call has one leg.

    *legs_appear* is when the legs of a call become rows: all when it ends (`at_call_end`), or
    each when it ends itself (`one_by_one`). *directory* is who is in the office and which trunks
    and numbers it has; rows by hand are of the default one. *habits* is when it telephones.
    """

    seed: int = 1
    rate: float = 1.0
    min_calls_per_minute: float = 0.0
    utc_offset_seconds: int = 0
    time_format: str = DEFAULT_TIME_FORMAT
    multi_leg: bool = True
    legs_appear: str = AT_CALL_END
    directory: Directory = BERLIN
    habits: Habits = OFFICE_HOURS

    def __post_init__(self) -> None:
        if self.time_format not in TIME_FORMATS:
            raise ValueError(
                f"time_format {self.time_format!r} is none of {', '.join(TIME_FORMATS)}"
            )


class Office:
    """Makes calls and writes their rows to *table*.

    *check_stop* is called often while calls are made up for the history, and may raise to end
    that. ValueError: `legs_appear` is none of `LEGS_APPEAR`.
    """

    def __init__(
        self,
        settings: OfficeSettings,
        table: CDRTable,
        clock: PBXClock,
        lock: Lock,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._clock = clock
        self._lock = lock
        self._history = _traffic(settings, 0.0, check_stop)
        self._live = _traffic(settings, settings.min_calls_per_minute)
        self._pending = PendingLegs(settings.legs_appear)
        self._sampled = 0  # calls made on request so far: the number of the next one
        self._written_until = clock.true_time()

    def call(self, **fields: Any) -> Row:
        """Write one row by hand, of a call that ends now, and return it.

        *fields* replace those of an example, odd values included; None leaves a field out.
        Durations follow from the disposition, `duration` and `timestamp` from the durations.
        Rows of one `uid` are legs of one call. ValueError: the `id` is taken. KeyError: the
        clean-up deleted the row at once.
        """
        with self._lock:
            (key,) = self._table.insert([self._example(fields)])
            return self._table[key]

    def calls(self, count: int, *, over_seconds: float = 0.0) -> list[Key]:
        """Let *count* calls of one leg end, spread over the last *over_seconds*.

        Returns the keys of their rows.
        """
        with self._lock:
            return self._insert(self._ended(count, over_seconds, direct_scenario))

    def whole_calls(
        self, count: int = 1, scenario: str | None = None, over_seconds: float = 0.0
    ) -> list[Key]:
        """Let *count* calls of any number of legs end, spread over the last *over_seconds*.

        *scenario* is a name in `SCENARIOS`; with None they are a mix, as the office's calls are.
        Returns the keys of all their rows in the order in which legs appear. ValueError: there
        is no such scenario.
        """
        with self._lock:
            return self._insert(self._ended(count, over_seconds, _drawing(scenario)))

    def begin_call(self, scenario: str | None = None) -> list[int]:
        """Let a call begin now; `tick` writes its legs once the clock has passed their instants.

        Returns these instants (UTC epoch seconds), ascending. ValueError: there is no such
        scenario.
        """
        with self._lock:
            call = self._history.begun(self._sampled, self._clock.true_time(), _drawing(scenario))
            self._sampled += 1
            self._await([call])
            return sorted(self._pending.instants(call))

    def hold_back(self, count: int = 1, scenario: str | None = None, **fields: Any) -> list[Key]:
        """Let *count* calls end now, keep their rows invisible until `release`; return the keys.

        The rows have their keys from now on, so that later rows have higher ids. With *fields*
        they are rows by hand, as of `call`; with *scenario* calls as of `whole_calls`, the keys
        in the order in which legs appear; else calls of one leg. ValueError: there is no such
        scenario, or both are given.
        """
        if scenario is not None and fields:
            raise ValueError("either a scenario or fields")
        with self._lock:
            if fields:
                return [self._held_example(fields) for _ in range(checked_count(count))]
            drawing = direct_scenario if scenario is None else always(scenario)
            return self._table.hold_back(self._expected(self._ended(count, 0.0, drawing)))

    def release(self, keys: Iterable[Key] | None = None, *, oldest: int | None = None) -> list[Key]:
        """Show rows that were held back: those of *keys*, or the *oldest* so many, or all.

        Returns their keys. KeyError: a row is not held back.
        """
        with self._lock:
            held = self._table.held if oldest is None else self._table.held[: checked_count(oldest)]
            return self._table.release(held if keys is None else list(keys))

    def tick(self) -> list[Key]:
        """Write the legs that are due since the last tick, and return their keys."""
        with self._lock:
            now = max(self._clock.true_time(), self._written_until)
            after, self._written_until = self._written_until, now
            return self._write(self._live, after, now)

    def write_history(self, seconds: float, end: float = 0.0) -> None:
        """Write the calls from *seconds* ago to *end* seconds ago, an hour at a time.

        A call that would have shown a leg before that is left out whole. One that has shown some
        of its legs by now, and not all, shows the others as time passes.
        """
        with self._lock:
            begin, stop = self._written_until - seconds, self._written_until - end
            while begin < stop:
                until = min(begin + _PART_SECONDS, stop)  # in parts, to save memory
                self._write(self._history, begin, until)
                begin = until

    def other_table(self, rows: int, first_id: int) -> CDRTable:
        """Return the table of another PBX: *rows* calls of the last hour, ids from *first_id*."""
        seed = f"{self._settings.seed}{_OTHER_PBX_SEED}"
        traffic = Traffic(seed, utc_offset_seconds=self._settings.utc_offset_seconds)
        table = CDRTable(checked_count(first_id))
        calls = traffic.sample(checked_count(rows), 0, self._clock.true_time(), 3600)
        table.insert(leg for call in calls for leg in call.legs)
        return table

    def _example(self, fields: dict[str, Any]) -> Row:
        settings, serial = self._settings, self._table.next_serial
        offset, time_format = settings.utc_offset_seconds, settings.time_format
        return example_row(fields, self._clock.shown_time(), serial, offset, time_format)

    def _held_example(self, fields: dict[str, Any]) -> Key:
        (key,) = self._table.hold_back([self._example(fields)])
        return key

    def _ended(self, count: int, over_seconds: float, scenario: DrawName) -> list[LegRow]:
        """Return the legs of *count* calls that have ended, in the order in which they appear."""
        first, self._sampled = self._sampled, self._sampled + checked_count(count)
        now = self._clock.true_time()
        made = self._history.sample(count, first, now, over_seconds, scenario)
        written = ((call, self._written(call)) for call in made)
        return in_order_of_appearance(written, self._settings.legs_appear)

    def _await(self, calls: Iterable[SimulatedCall]) -> None:
        """Let *calls* appear leg by leg; all legs show the clock and firmware as they are now."""
        for call in calls:
            self._pending.add(call, self._written(call))

    def _written(self, call: SimulatedCall) -> SimulatedCall:
        """Return *call* as the PBX writes it now: by its clock, firmware and settings."""
        offset, time_format = self._settings.utc_offset_seconds, self._settings.time_format
        written = self._clock.written(call)
        if self._table.upgrade:
            written = as_newer_firmware(written, offset)
        if time_format != DEFAULT_TIME_FORMAT:
            written = as_displayed(written, offset, time_format)
        return written

    def _write(self, traffic: Traffic, after: float, until: float) -> list[Key]:
        """Write the legs that are due in (*after*, *until*], and return their keys."""
        self._await(traffic.calls(after, until, self._pending.first))
        return self._insert(self._pending.due(until))

    def _insert(self, legs: Iterable[LegRow]) -> list[Key]:
        return self._table.insert(self._expected(legs))

    def _expected(self, legs: Iterable[LegRow]) -> Iterator[Row]:
        """Yield the rows of *legs*, each after its call is announced under its serial number.

        The table takes one row at a time, so `next_serial` is that row's.
        """
        for row, call in legs:
            self._table.calls.expect(self._table.next_serial, call)
            yield row


def _traffic(
    settings: OfficeSettings,
    min_calls_per_minute: float,
    check_stop: Callable[[], None] = lambda: None,
) -> Traffic:
    return Traffic(
        settings.seed,
        rate=settings.rate,
        min_calls_per_minute=min_calls_per_minute,
        utc_offset_seconds=settings.utc_offset_seconds,
        multi_leg=settings.multi_leg,
        check_stop=check_stop,
        directory=settings.directory,
        habits=settings.habits,
    )


def _drawing(scenario: str | None) -> DrawName:
    return any_scenario if scenario is None else always(scenario)
