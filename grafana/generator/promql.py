"""Building blocks of the queries.

Rule: queries use only metrics of the exporter and no recording rules, so that a dashboard works
even if it is imported alone. A quotient has no value where nothing was counted, since 0 / 0 is
not 0 %.

An office has few calls, so panels show the increase in each bar or in the whole time range, not
the rate per second.
"""

from __future__ import annotations

from dataclasses import dataclass

TIME_RANGE, BAR_WIDTH = "$__range", "$__rate_interval"
"""Windows: the whole time range of the dashboard, and that of one bar or point."""

HOUR, DAY = "1h", "1d"

PBX = 'pbx=~"$pbx"'
TRUNK = f'{PBX}, trunk=~"$trunk"'
CHOSEN = f'{TRUNK}, call_type=~"$call_type"'
INBOUND = f'{TRUNK}, call_type="Inbound"'
OUTBOUND = f'{TRUNK}, call_type="Outbound"'
NOT_BLOCKED = 'outcome!="blocked"'
"""Whom the PBX turns away by its blacklist is left out of every share."""
ON_A_TRUNK = 'trunk!="none"'


@dataclass(frozen=True)
class Histogram:
    """One histogram metric, and the label *matchers* that select some of its series."""

    name: str
    matchers: str

    def buckets(self, window: str) -> str:
        """Return how many values fell into each bucket in *window*."""
        return total(increase(f"{self.name}_bucket", window, self.matchers), "le")

    def up_to(self, bound: str, window: str, *labels: str) -> str:
        """Return how many values in *window* were at most *bound*."""
        chosen = f'{self.matchers}, le="{bound}"'
        return total(increase(f"{self.name}_bucket", window, chosen), *labels)

    def count(self, window: str, *labels: str) -> str:
        """Return how many values there were in *window*."""
        return total(increase(f"{self.name}_count", window, self.matchers), *labels)

    def mean(self, window: str, *labels: str) -> str:
        """Return the mean of the values in *window*."""
        seconds = total(increase(f"{self.name}_sum", window, self.matchers), *labels)
        return quotient(seconds, self.count(window, *labels))

    def quantile(self, share: float) -> str:
        """Return the value that a *share* (0 to 1) of the values in a bar do not exceed."""
        return f"histogram_quantile({share}, {self.buckets(BAR_WIDTH)})"


def increase(metric: str, window: str, matchers: str, offset: str = "") -> str:
    """Return by how much each series rose in *window*, shifted back by *offset*."""
    return f"increase({metric}{{{matchers}}}[{window}]{offset and f' offset {offset}'})"


def rate(metric: str, window: str, matchers: str) -> str:
    """Return by how much each series rose per second, on average in *window*."""
    return f"rate({metric}{{{matchers}}}[{window}])"


def total(expression: str, *labels: str) -> str:
    """Return the sum for each combination of *labels*, or of everything."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def quotient(part: str, whole: str) -> str:
    """Return *part* / *whole*, without a value where *whole* is 0."""
    return f"{part} / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """Return a sum without labels, or 0 while none of its series exists."""
    return f"({expression} or vector(0))"


def share(metric: str, window: str, part: str, whole: str, *labels: str) -> str:
    """Return which share of *whole* is *part*; both are label matchers of the counter *metric*."""
    return quotient(
        total(increase(metric, window, f"{part}, {whole}"), *labels),
        total(increase(metric, window, whole), *labels),
    )


def by_local_time(part: str, calls: str) -> str:
    """Return hourly *calls*, summed by a *part* of the local time of their PBX.

    *part* is a function of PromQL, such as `hour`, and the name of the label with its value. Each
    hour is assigned by its middle, because the UTC offset may not be a whole number of hours.
    """
    local = f"max by (pbx) (cdr_utc_offset_seconds{{{PBX}}}) + time() - 1800"
    clock = f'count_values by (pbx) ("{part}", {part}({local}))'
    return (
        f"sum by ({part}) (sum_over_time("
        f"({clock} * on (pbx) group_left () {calls})[{TIME_RANGE}:{HOUR}]))"
    )
