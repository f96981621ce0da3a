"""What is taken for counted of a random office is what the real poller shows, minute by minute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cdr_exporter.cdr import Record, decode
from cdr_exporter.metrics.totals import Series, Value

from ..support.counted_office import READ, counted, minute_of
from ..support.fake_pbx import FakePBX
from ..support.poller_harness import PollerHarness
from ..support.random_offices import BEGIN, HOUR, MINUTE, Row, written
from ..support.rows import body

FIRST, LAST = 7 * HOUR // MINUTE, 14 * HOUR // MINUTE
"""The minutes of the first day in which the poller polls, one poll in each."""

Seen = Mapping[int, Sequence[Row]]


def rows_by_minute() -> Seen:
    """Return the rows of a busy day by the minute in which the PBX shows them: at the end."""
    rows = written(250, seed=1, weeks=1)[0].rows
    ends: dict[str, int] = defaultdict(int)
    for row in rows:
        ends[row["uid"]] = max(ends[row["uid"]], row["timestamp"] + row["duration"])
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[minute_of(ends[row["uid"]])].append(row)
    return {minute: found[minute] for minute in range(FIRST, LAST)}


def counted_until(
    minute: int, expected: Mapping[Series, Mapping[int, Value]]
) -> dict[Series, Value]:
    """Return what the counts are at *minute*, but for those at 0."""
    sums = {
        series: tuple(map(sum, zip(*values, strict=True)))
        for series, rises in expected.items()
        if (values := [value for poll, value in rises.items() if poll <= minute])
    }
    return {series: value for series, value in sums.items() if any(value)}


def decoded(row: Row) -> Record:
    [record] = decode(body([{"id": 1, **row}])).rows
    return record


def test_a_random_office_is_counted_as_the_real_poller_counts_it(tmp_path: Path) -> None:
    seen = rows_by_minute()
    expected = counted([row for rows in seen.values() for row in rows], np.arange(LAST))
    pbx = FakePBX()
    harness = PollerHarness(tmp_path, pbx)
    differing = []
    for minute, rows in seen.items():
        pbx.clock.pass_(BEGIN + minute * MINUTE - pbx.clock.wall)
        for record in map(decoded, rows):
            pbx.call(**{name: getattr(record, name) for name in Record.__struct_fields__[1:]})
        harness.poll()
        shown = {k: v for k, v in harness.last.totals.series.items() if k.family in READ and any(v)}
        if shown != counted_until(minute, expected):
            differing.append(minute)
    harness.close()

    assert differing == []
    assert sum(shown[series][0] for series in shown if series.family == "cdr_calls_total") > 80
