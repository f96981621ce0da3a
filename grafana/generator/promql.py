"""Building blocks of the queries.

Rule: queries use only metrics of the exporter and no recording rules, so that a dashboard works
even if it is imported alone; a share or mean has the formula of the rule of the same name. A
quotient has no value where nothing was counted, since 0 / 0 is not 0 %.

An office has few calls, so panels show the increase in each bar or in the whole time range, not
the rate per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

TIME_RANGE_SECONDS = "$__range_s"

LONGEST_GAP = "1d"
"""How long a PBX may be out of reach so that what it counts afterwards shows."""

ENOUGH = 5
"""A point of a line of shares or means is of at least so many calls or rows."""

PBX = 'pbx=~"$pbx"'
TRUNK = f'{PBX}, trunk=~"$trunk"'
CHOSEN = f'{TRUNK}, call_type=~"$call_type"'
INBOUND = f'{TRUNK}, call_type="Inbound"'
OUTBOUND = f'{TRUNK}, call_type="Outbound"'
NOT_BLOCKED = 'outcome!="blocked"'
"""Whom the PBX turns away by its blacklist is left out of every share."""
ON_A_TRUNK = 'trunk!="none"'

SECONDS_OF_HOUR, SECONDS_OF_DAY = 3_600, 86_400


class Shown(NamedTuple):
    """The beginning and the end of the time shown: as times, and as places of a selector.

    A time is an expression of one number in seconds since 1970.
    """

    begin: str
    end: str
    at_begin: str
    at_end: str


_FROM, _TO = "${__from:date:seconds}", "${__to:date:seconds}"
_EVALUATED = "last_over_time(vector(time())[1s:1s] @ end())"

SHOWN_OVER_TIME = Shown(f"vector({_FROM})", f"vector({_TO})", f"@ {_FROM}", f"@ {_TO}")
"""Of a query over time: `end()` is the last step, which may begin long before the end."""

SHOWN_AT_ONCE = Shown(
    f"({_EVALUATED} - {TIME_RANGE_SECONDS})", _EVALUATED, "@ end() offset $__range", "@ end()"
)
"""Of a query that is asked once. A panel may show another time than its dashboard."""


@dataclass(frozen=True)
class Window:
    """A time *width* wide that ends at the timestamp, or begins there where it is not *ended*.

    Where it is given, what is outside of the time *shown* is left out. Such a window begins at the
    timestamp and is *seconds* long, an expression. A window that is *ended* may lie further back,
    so many seconds *ago*.

    What rose in it is the difference of two samples, and nothing is estimated: counts are whole
    numbers, those of windows side by side add up to that of all, the calls that a PBX shows when it
    is reached again are in it, and so is the newest window that is not over yet. (`increase()`
    loses what rises between two windows, makes up for it by a guess, and does not see what was
    counted while a series was hidden. It is asked only where a counter began again at 0, as after
    the loss of a state, or where `history` wrote what was before.)
    """

    width: str
    ended: bool = True
    shown: Shown | None = None
    seconds: str = ""
    ago: int = 0

    def rise(self, series: str) -> str:
        """Return by how much each of *series*, a selector, rose in the window.

        From the last sample before it, or from the first in it where a series is new.
        """
        within, before = self._back if self.ended else (f" offset -{self.width}", "")
        window = f"{series}[{self.width}]{within}"
        least = f"min_over_time({window})"
        newest = f"last_over_time({window})"
        oldest = f"(last_over_time({series}[{LONGEST_GAP}]{before}) <= {least} or {least})"
        if self.shown:
            is_last = f"vector(time() + {self.seconds}) > {self.shown.end}"
            is_first = f"vector(time()) < {self.shown.begin}"
            newest = _where(is_last, f"{series}[{LONGEST_GAP}] {self.shown.at_end}", newest)
            oldest = _where(is_first, f"{series}[{LONGEST_GAP}] {self.shown.at_begin}", oldest)
        return f"({newest} - {oldest} unless resets({window}) > 0 or increase({window}))"

    @property
    def _back(self) -> tuple[str, str]:
        if not self.ago:
            return "", f" offset {self.width}"
        # PromQL adds up `1h` and `604800s` in one duration, where seconds come last.
        return f" offset {self.ago}s", f" offset {self.width}{self.ago}s"


def _where(condition: str, samples: str, otherwise: str) -> str:
    """Return the last of *samples* where a *condition* holds."""
    return f"(last_over_time({samples}) and on () ({condition}) or {otherwise})"


TIME_RANGE = Window("$__range")
"""The window of a panel that shows one number: the whole time range of the dashboard."""

HOUR, DAY = Window("1h"), Window("1d")

BAR = Window("$__interval", False, SHOWN_OVER_TIME, "$__interval_ms / 1000")
"""A bar, which is drawn after its timestamp. Grafana asks for whole steps, of which the first and
the last reach beyond the time shown: they are cut, so that a legend's total is of the time shown.
"""

POINT = Window("$__interval", ended=False)
"""A point of a line of shares or means, which stands at the beginning of its time."""

COLUMN = Window("$__interval")
"""A column of a heat map, which Grafana draws to the left of its timestamp."""

QUARTER = Window("15m", False, SHOWN_AT_ONCE, "900")
"""Time zones differ by whole quarters of an hour, so none of these is of two local hours or days.
"""


@dataclass(frozen=True)
class Histogram:
    """One histogram metric, and the label *matchers* that select some of its series."""

    name: str
    matchers: str

    def buckets(self, window: Window) -> str:
        """Return how many values fell into each bucket in *window*."""
        return total(increase(f"{self.name}_bucket", window, self.matchers), "le")

    def up_to(self, bound: str, window: Window, *labels: str) -> str:
        """Return how many values in *window* were at most *bound*."""
        chosen = f'{self.matchers}, le="{bound}"'
        return total(increase(f"{self.name}_bucket", window, chosen), *labels)

    def count(self, window: Window, *labels: str) -> str:
        """Return how many values there were in *window*."""
        return total(increase(f"{self.name}_count", window, self.matchers), *labels)

    def mean(self, window: Window, *labels: str) -> str:
        """Return the mean of the values in *window*."""
        seconds = total(increase(f"{self.name}_sum", window, self.matchers), *labels)
        return quotient(seconds, self.count(window, *labels), least=_least(window))

    def quantile(self, share: float) -> str:
        """Return the value that a *share* (0 to 1) of the values in a point do not exceed."""
        enough = f"{self.count(POINT)} >= {ENOUGH}"
        return f"histogram_quantile({share}, {self.buckets(POINT)}) and on () ({enough})"

    def columns(self) -> str:
        """Return the buckets of each column of a heat map.

        Before the first column stands an empty one, since Grafana draws none that is alone.
        """
        series = f"{self.name}_bucket{{{self.matchers}}}"
        following = f"last_over_time({series}[{BAR.width}] offset -{BAR.width})"
        return f"{self.buckets(COLUMN)} or 0 * {total(following, 'le')}"


def increase(metric: str, window: Window, matchers: str) -> str:
    """Return by how much each series rose in *window*."""
    return window.rise(f"{metric}{{{matchers}}}")


def total(expression: str, *labels: str) -> str:
    """Return the sum for each combination of *labels*, or of everything."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def quotient(part: str, whole: str, *, least: int = 0) -> str:
    """Return *part* / *whole*, without a value where *whole* is 0 or less than *least*."""
    return f"{part} / ({whole} >= {least})" if least else f"{part} / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """Return a sum without labels, or 0 while none of its series exists."""
    return f"({expression} or vector(0))"


def share(metric: str, window: Window, part: str, whole: str, *labels: str) -> str:
    """Return which share of *whole* is *part*; both are label matchers of the counter *metric*."""
    return quotient(
        total(increase(metric, window, f"{part}, {whole}"), *labels),
        total(increase(metric, window, whole), *labels),
        least=_least(window),
    )


def service_level(waited: Histogram, gave_up: Histogram, window: Window, *labels: str) -> str:
    """Return the calls answered within 20 s / the calls answered or given up after 5 s.

    Without *labels* each of the two histograms may be missing: one exists once it has a call.
    """
    late = f"{gave_up.count(window, *labels)} - {gave_up.up_to('5.0', window, *labels)}"
    answered = waited.count(window, *labels)
    in_time = waited.up_to("20.0", window, *labels)
    if labels:
        both = f"({answered} + ({late}) or {answered} or {late})"
        return quotient(f"({in_time} or 0 * {both})", both, least=_least(window))
    both = f"({or_zero(answered)} + {or_zero(late)})"
    return quotient(or_zero(in_time), both, least=_least(window))


def only_seen(bars: str, metric: str, label: str) -> str:
    """Return the *bars* of those values of *label* that were counted in the time shown.

    So a legend names what happened, and not each of the many things that may happen. The newest bar
    goes beyond the last step, at which it begins.
    """
    to_the_end = f"[{TIME_RANGE.width}] @ end() offset -{BAR.width}"
    rose = total(f"increase({metric}{{{PBX}}}{to_the_end})", label)
    return f"{bars} and on ({label}) ({rose} > 0)"


def by_local_time(label: str, part: str, calls: str) -> str:
    """Return *calls* of each PBX and `QUARTER`, summed by a part of the local time of their PBX.

    *part* is an expression of the local time, which stands in it as `{}`, in seconds since 1970;
    its value becomes the value of *label*. A quarter is looked at which may begin before the time
    shown; the second of offset keeps that out which begins where the time shown ends: before
    Prometheus 3 a range has both of its ends. The offset from UTC is that at the end of the
    quarter, for the exporter may have started in it.
    """
    offset = f"last_over_time(cdr_utc_offset_seconds{{{PBX}}}[{QUARTER.width}]"
    local = f"(max by (pbx) ({offset} offset -{QUARTER.width})) + time())"
    clock = f'count_values by (pbx) ("{label}", {part.format(local)})'
    quarters = f"[{QUARTER.width}{TIME_RANGE.width}:{QUARTER.width}] offset 1s"
    return f"sum by ({label}) (sum_over_time(({clock} * on (pbx) group_left () {calls}){quarters}))"


def by_local_hour(calls: str) -> str:
    """Return *calls* by local hour, `00 h` to `23 h`; an hour without one, or not shown, is 0."""
    found = by_local_time("hour", "hour({})", calls)
    every_hour = 'last_over_time(count_values("hour", hour())[1d:1h])'
    filled = f"({found} or 0 * {every_hour} and on () cdr_utc_offset_seconds{{{PBX}}})"
    two_digits = f'label_replace({filled}, "hour", "0$1", "hour", "(.)")'
    return f'label_replace({two_digits}, "hour", "$1 h", "hour", "(..)")'


def by_local_weekday(calls: str) -> str:
    """Return *calls* by local day of the week, Monday 0 to Sunday 6."""
    return by_local_time("weekday", "((day_of_week({}) + 6) % 7)", calls)


def by_local_day(calls: str) -> str:
    """Return *calls* by local day: its noon in UTC, in epoch milliseconds.

    At noon it is the same date in the time zones of nearly all browsers.
    """
    noon = f"(floor({{}} / {SECONDS_OF_DAY}) * {SECONDS_OF_DAY} + {SECONDS_OF_DAY // 2})"
    return by_local_time("day", f"({noon} * 1000)", calls)


def a_week_before(metric: str, width: str, matchers: str) -> str:
    """Return how many there were in the same local time a week before, in a window *width* wide.

    Between the two the clocks may have gone forward or back by an hour. The *width* is not in
    seconds.
    """
    offset = f"max by (pbx) (cdr_utc_offset_seconds{{{PBX}}}"
    forward = f"{offset}) - {offset} offset 7d)"

    def ago(hours: int, moved: int) -> str:
        window = Window(width, ago=hours * SECONDS_OF_HOUR)
        rose = total(increase(metric, window, matchers), "pbx")
        return f"{rose} and on (pbx) ({forward} == {moved})"

    return total(f"{ago(168, 0)} or {ago(167, 3600)} or {ago(169, -3600)}")


def _least(window: Window) -> int:
    return ENOUGH if window in (POINT, COLUMN) else 0
