"""Building blocks of the queries.

Rule: queries use only metrics of the exporter and no recording rules, so that a dashboard works
even if it is imported alone; a share or mean has the formula of the rule of the same name. A
quotient has no value where nothing was counted, since 0 / 0 is not 0 %.

An office has few calls, so panels show the increase in each bar or in the whole time range, not
the rate per second.
"""

from __future__ import annotations

from dataclasses import dataclass

TIME_RANGE = "$__range"
"""The window of a panel that shows one number: the whole time range of the dashboard."""

HOUR, DAY = "1h", "1d"

LONGEST_GAP = "1d"
"""How long a PBX may be out of reach so that what it counts afterwards shows in a bar."""

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

SECONDS_OF_DAY = 86_400


@dataclass(frozen=True)
class Bar:
    """One of many windows side by side, *width* wide: it begins at its timestamp, or *ended* there.

    What rose in it is the difference of two samples, and nothing is estimated: bars are whole
    numbers that add up to what was counted, with the calls that a PBX shows when it is reached
    again, and also where the newest bar is not over yet. (`increase()` of each bar loses what rises
    between two of them, and does not see what was counted while a series was hidden.)
    """

    width: str
    ended: bool = False

    def rise(self, series: str) -> str:
        """Return by how much each of *series*, a selector, rose in the bar.

        From the last sample before the bar, or from the first in it where a series is new. A
        counter that fell began at 0 again.
        """
        within, before = ("", f" offset {self.width}") if self.ended else self._ahead
        newest = f"last_over_time({series}[{self.width}]{within})"
        oldest = (
            f"(last_over_time({series}[{LONGEST_GAP}]{before})"
            f" or min_over_time({series}[{self.width}]{within}))"
        )
        return f"({newest} - {oldest} >= 0 or {newest})"

    @property
    def _ahead(self) -> tuple[str, str]:
        return f" offset -{self.width}", ""


Window = str | Bar
"""A duration of PromQL that ends at the timestamp, or a bar."""

BAR = Bar("$__interval")
COLUMN = Bar("$__interval", ended=True)
"""A column of a heat map, which Grafana draws to the left of its timestamp."""

QUARTER = Bar("15m")
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
        """Return the value that a *share* (0 to 1) of the values in a bar do not exceed."""
        enough = f"{self.count(BAR)} >= {ENOUGH}"
        return f"histogram_quantile({share}, {self.buckets(BAR)}) and on () ({enough})"

    def columns(self) -> str:
        """Return the buckets of each column of a heat map.

        Before the first column stands an empty one, since Grafana draws none that is alone.
        """
        series = f"{self.name}_bucket{{{self.matchers}}}"
        following = f"last_over_time({series}[{BAR.width}] offset -{BAR.width})"
        return f"{self.buckets(COLUMN)} or 0 * {total(following, 'le')}"


def increase(metric: str, window: Window, matchers: str) -> str:
    """Return by how much each series rose in *window*."""
    series = f"{metric}{{{matchers}}}"
    return window.rise(series) if isinstance(window, Bar) else f"increase({series}[{window}])"


def rate(metric: str, window: str, matchers: str) -> str:
    """Return by how much each series rose per second, on average in *window*."""
    return f"rate({metric}{{{matchers}}}[{window}])"


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
    to_the_end = f"[{TIME_RANGE}] @ end() offset -{BAR.width}"
    rose = total(f"increase({metric}{{{PBX}}}{to_the_end})", label)
    return f"{bars} and on ({label}) ({rose} > 0)"


def by_local_time(label: str, part: str, calls: str) -> str:
    """Return *calls* of each PBX and `QUARTER`, summed by a part of the local time of their PBX.

    *part* is an expression of the local time, which stands in it as `{}`, in seconds since 1970;
    its value becomes the value of *label*. The second of offset keeps a quarter out that begins
    where the time shown ends: before Prometheus 3 a range has both of its ends. The offset from UTC
    is that at the end of the quarter, for the exporter may have started in it.
    """
    offset = f"last_over_time(cdr_utc_offset_seconds{{{PBX}}}[{QUARTER.width}]"
    local = f"(max by (pbx) ({offset} offset -{QUARTER.width})) + time())"
    clock = f'count_values by (pbx) ("{label}", {part.format(local)})'
    return (
        f"sum by ({label}) (sum_over_time("
        f"({clock} * on (pbx) group_left () {calls})[{TIME_RANGE}:{QUARTER.width}] offset 1s))"
    )


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
    """Return how many there were in the same local time a week before, *width* wide.

    Between the two the clocks may have gone forward or back by an hour.
    """
    offset = f"max by (pbx) (cdr_utc_offset_seconds{{{PBX}}}"
    forward = f"{offset}) - {offset} offset 7d)"

    def hours_ago(hours: int, moved: int) -> str:
        rose = f"increase({metric}{{{matchers}}}[{width}] offset {hours}h)"
        return f"{total(rose, 'pbx')} and on (pbx) ({forward} == {moved})"

    same = f"{hours_ago(168, 0)} or {hours_ago(167, 3600)} or {hours_ago(169, -3600)}"
    return total(same)


def _least(window: Window) -> int:
    return ENOUGH if isinstance(window, Bar) else 0
