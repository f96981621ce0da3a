"""How the dashboards ask Prometheus.

Rule: only what the exporter shows is asked for, never a recording rule, so that a dashboard works
where it was imported alone. A quotient has no value where nothing was counted: 0 / 0 is no
ratio, and no 0 % either.

An office has few calls, so they are counted and not taken by the second: an increase in a bar, or
in the whole time shown.
"""

from __future__ import annotations

from dataclasses import dataclass

SHOWN, BAR = "$__range", "$__rate_interval"
"""The whole time shown, and one bar or point of it."""

HOUR, DAY = "1h", "1d"

PBX = 'pbx=~"$pbx"'
TRUNK = f'{PBX}, trunk=~"$trunk"'
CHOSEN = f'{TRUNK}, call_type=~"$call_type"'
INBOUND = f'{TRUNK}, call_type="Inbound"'
OUTBOUND = f'{TRUNK}, call_type="Outbound"'
A_TRUNK = 'trunk!="none"'


@dataclass(frozen=True)
class Histogram:
    """One histogram and the *matchers* that choose of it."""

    name: str
    matchers: str

    def buckets(self, window: str) -> str:
        """Return how many came into each bucket in *window*."""
        return total(increase(f"{self.name}_bucket", window, self.matchers), "le")

    def up_to(self, bound: str, window: str, *labels: str) -> str:
        """Return how many in *window* were not above *bound*."""
        chosen = f'{self.matchers}, le="{bound}"'
        return total(increase(f"{self.name}_bucket", window, chosen), *labels)

    def count(self, window: str, *labels: str) -> str:
        """Return how many there were in *window*."""
        return total(increase(f"{self.name}_count", window, self.matchers), *labels)

    def mean(self, window: str, *labels: str) -> str:
        """Return their mean in *window*."""
        seconds = total(increase(f"{self.name}_sum", window, self.matchers), *labels)
        return quotient(seconds, self.count(window, *labels))

    def quantile(self, part: float) -> str:
        """Return what *part* of those in a bar were at most."""
        return f"histogram_quantile({part}, {self.buckets(BAR)})"


def increase(metric: str, window: str, matchers: str, offset: str = "") -> str:
    """Return by how much each series rose in *window*, *offset* ago."""
    return f"increase({metric}{{{matchers}}}[{window}]{offset and f' offset {offset}'})"


def rate(metric: str, window: str, matchers: str) -> str:
    """Return by how much each series rose a second, in *window*."""
    return f"rate({metric}{{{matchers}}}[{window}])"


def total(expression: str, *labels: str) -> str:
    """Return the sum, of each value of *labels* or of all."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def quotient(part: str, whole: str) -> str:
    """Return *part* / *whole*, nothing where *whole* is 0."""
    return f"{part} / ({whole} > 0)"


def or_zero(expression: str) -> str:
    """Return a sum of all, 0 while no histogram of it was born."""
    return f"({expression} or vector(0))"


def share(metric: str, window: str, part: str, whole: str, *labels: str) -> str:
    """Return what share of *whole* is *part*, both matchers of one counter."""
    return quotient(
        total(increase(metric, window, f"{part}, {whole}"), *labels),
        total(increase(metric, window, whole), *labels),
    )


def by_local_time(part: str, calls: str) -> str:
    """Return *calls* of an hour, summed by the *part* of the local time of their PBX.

    *part* is a function of PromQL and the label that its value gets. The middle of an hour tells
    where it belongs, also where the offset from UTC is no whole hour.
    """
    local = f"max by (pbx) (cdr_utc_offset_seconds{{{PBX}}}) + time() - 1800"
    clock = f'count_values by (pbx) ("{part}", {part}({local}))'
    return (
        f"sum by ({part}) (sum_over_time("
        f"({clock} * on (pbx) group_left () {calls})[{SHOWN}:{HOUR}]))"
    )
