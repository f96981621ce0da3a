"""What a bar counts, asked of promtool: new series, gaps, resets, and a bar that is not over."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from grafana.generator.promql import (
    BAR,
    COLUMN,
    POINT,
    QUARTER,
    Window,
    a_week_before,
    by_local_day,
    increase,
    total,
)

from ..support.dashboards import filled_in, macros
from ..support.programs import require

pytestmark = pytest.mark.e2e

HOUR, DAY = 60, 24 * 60
"""Minutes."""


def answers(expression: str, *minutes: int, **samples: str) -> list[tuple[str, float]]:
    """Return the labels and values of an expression at some *minutes*, as promtool finds them.

    *samples* of metrics of the PBX hq, by name, come once a minute from minute 0 on, in the
    notation of promtool.
    """
    test = {
        "interval": "1m",
        "input_series": [
            {"series": f'{name}{{pbx="hq"}}', "values": values} for name, values in samples.items()
        ],
        "promql_expr_test": [
            # promtool tells what it got where nothing was expected.
            *(
                {"expr": expression, "eval_time": f"{minute}m", "exp_samples": []}
                for minute in minutes
            ),
            # It takes no sample of after its last question.
            {"expr": "vector(1) < 0", "eval_time": f"{max(minutes) + DAY}m", "exp_samples": []},
        ],
    }
    done = subprocess.run(
        [require("promtool"), "test", "rules", "/dev/stdin"],
        input=json.dumps({"evaluation_interval": "1m", "tests": [test]}),
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"(\{[^{}\n]*\}) ([\d.E+-]+)(?:,|$)", done.stderr, re.MULTILINE)
    return [(labels, float(value)) for labels, value in found]


def rises(samples: str, *minutes: int, ended: bool = False, width: str = "60m") -> list[float]:
    """Return by how much a counter rose in the bars that begin (or *ended*) at some *minutes*.

    There is no number where there is no bar.
    """
    bar = COLUMN if ended else POINT
    expression = filled_in(increase("calls", bar, 'pbx="hq"'), {"$__interval": width})
    return [value for _, value in answers(expression, *minutes, calls=samples)]


def test_a_bar_has_what_rose_after_its_timestamp() -> None:
    assert rises("0+1x60 60+0x600", 0, 60) == [60, 0]


def test_a_column_of_a_heat_map_has_what_rose_before_its_timestamp() -> None:
    assert rises("0+1x60 60+0x600", 60, 120, ended=True) == [60, 0]


def test_a_bar_that_is_not_over_has_what_rose_so_far() -> None:
    assert rises("0+1x70", 60) == [10]


def test_a_new_series_counts_from_its_first_sample() -> None:
    born_at_0, with_a_baseline = "_x10 0+0x4 1+1x600", "_x10 5000+0x4 5001+1x600"

    assert rises(born_at_0, 0) == rises(with_a_baseline, 0) == [46]


def test_before_a_series_there_is_no_bar() -> None:
    assert rises("_x90 0+1x300", 0, 60) == [30]


@pytest.mark.parametrize(
    ("gap", "back"), [(30, 0), (90, 60), (200, 180)], ids=["short", "over a bar", "over three"]
)
def test_what_was_counted_in_a_gap_is_in_the_bar_in_which_the_series_returns(
    gap: int, back: int
) -> None:
    samples = f"0+0x29 stale _x{gap - 1} 28+0x600"
    bars = rises(samples, *range(0, 300, 60))

    assert sum(bars) == 28
    assert rises(samples, back) == [28]


def test_a_bar_without_a_sample_is_missing_and_not_0() -> None:
    assert rises("0+0x29 stale _x199 28+0x600", 60, 120) == []


def test_a_counter_that_fell_counts_from_0_again() -> None:
    assert rises("100+0x29 0+1x600", 0) == [30]


@pytest.mark.parametrize("width", [5, 50, 250])
def test_bars_of_any_width_add_up_to_the_whole(width: int) -> None:
    """The counter stands at 1100 after 500 minutes."""
    samples = "0+0x4 1+1x100 101+0x60 101+3x600"

    assert sum(rises(samples, *range(0, 500, width), width=f"{width}m")) == 1100


@pytest.mark.parametrize(
    ("bar", "rose"),
    [(0, 0), (60, 20), (120, 60), (180, 45), (240, 0)],
    ids=["before", "the first", "in between", "the last", "after"],
)
def test_of_a_bar_that_reaches_beyond_the_time_shown_only_the_rest_counts(
    bar: int, rose: float
) -> None:
    """The counter rises by 1 a minute; from minute 100 to 225 is shown."""
    values = macros(60 * 60, 125 * 60, 225 * 60)
    expression = filled_in(increase("calls", BAR, 'pbx="hq"'), values)

    found = answers(expression, bar, calls="0+1x600")

    assert [value for _, value in found if value > 0] == [rose] * bool(rose)


@pytest.mark.parametrize(
    ("samples", "rose_before"),
    [
        pytest.param("5+0x29 stale _x59 0+1x600", 0, id="while it was hidden"),
        pytest.param("5+1x59 0+0x28 0+1x600", 14, id="within the window"),
    ],
)
def test_a_counter_that_began_again_is_not_taken_for_the_old_one(
    samples: str, rose_before: int
) -> None:
    """The window begins at minute 45. The counter is 0 again at 90 at last, and ends far above."""
    (found,) = answers(increase("calls", Window("7h"), 'pbx="hq"'), 45 + 7 * HOUR, calls=samples)

    assert found[1] == pytest.approx(rose_before + 45 + 7 * HOUR - 90, abs=2)


ACROSS_THE_CHANGE = 8 * DAY + 9 * HOUR


@pytest.mark.parametrize(
    ("offset_now", "ago"),
    [
        pytest.param(3600, 7 * DAY, id="the same offset"),
        pytest.param(7200, 7 * DAY - HOUR, id="the clocks went forward"),
        pytest.param(0, 7 * DAY + HOUR, id="the clocks went back"),
    ],
)
def test_a_week_before_is_the_same_hour_by_the_clock(offset_now: int, ago: int) -> None:
    """The counter rises by 100 in the hour of a week before, and by nothing else."""
    end = ACROSS_THE_CHANGE - ago
    calls = f"0+0x{end - 31} 100+0x{9 * DAY}"
    offset = f"3600+0x{5 * DAY} {offset_now}+0x{5 * DAY}"
    expression = filled_in(a_week_before("calls", "1h", 'pbx="hq"'))

    found = answers(expression, ACROSS_THE_CHANGE, calls=calls, cdr_utc_offset_seconds=offset)

    assert [value for _, value in found] == [pytest.approx(100, rel=0.03)]


def test_a_day_begins_at_midnight_also_where_clocks_differ_by_quarters() -> None:
    """In Kathmandu it is 5 h 45 min later than in UTC: midnight is at 18:15."""
    midnight = 18 * HOUR + 15
    calls = f"0+0x{midnight - 4} 1+0x9 3+0x{2 * DAY}"
    quarters = total(increase("calls", QUARTER, 'pbx="hq"'), "pbx")
    expression = filled_in(by_local_day(quarters), macros(HOUR * 60, DAY * 60, DAY * 60))

    found = answers(
        expression, DAY, calls=calls, cdr_utc_offset_seconds=f"{5 * 3600 + 45 * 60}+0x{2 * DAY}"
    )

    # By the noons, in UTC, of the first of January 1970 and of the day after.
    assert dict(found) == {'{day="43200000"}': 1, '{day="129600000"}': 2}
