"""`support.promql` says of the shipped rules what promtool says: each value, and what fires."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest

from ..support.alerts_of_offices import needed_rules, read_raw
from ..support.counted_office import shown
from ..support.programs import require
from ..support.promql import Array, Data, Grid, Labels, Vector, apply, evaluate, in_order, parse
from ..support.random_offices import TROUBLES_FROM, written

SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60}

Values = dict[tuple[str, Labels], float]
"""What there is at one evaluation: by metric, or by `ALERTS`, and labels."""


def thinned(raw: dict[str, Vector], first: int, last: int, step: int) -> dict[str, Vector]:
    """Return every *step*-th minute of the series that the rules read."""
    return {
        name: {labels: values[first:last:step] for labels, values in vector.items()}
        for name, vector in read_raw(needed_rules(), raw).items()
    }


def input_series(raw: dict[str, Vector], step: int) -> Iterator[dict[str, str]]:
    """Yield series for promtool, a sample two minutes before each evaluation."""
    for name, vector in raw.items():
        for labels, values in vector.items():
            inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels))
            samples = ("stale" if np.isnan(value) else f"{value:.0f}" for value in values)
            spaced = chain.from_iterable(zip(repeat(f"_x{step - 2}"), samples, repeat("_x1")))
            yield {"series": f"{name}{{{inner}}}", "values": " ".join(spaced)}


def theirs(directory: Path, raw: dict[str, Vector], step: int, judged: Sequence[int]) -> str:
    """Return what promtool says where it is told to expect nothing."""
    (directory / "rules.yml").write_text(
        json.dumps({"groups": [{"name": "all", "rules": in_sequence()}]})
    )
    tests = [
        {
            "expr": '{__name__=~".+:.+|ALERTS"}',
            "eval_time": f"{(number + 1) * step}m",
            "exp_samples": [],
        }
        for number in judged
    ]
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{step}m",
        "tests": [
            {
                "interval": "1m",
                "input_series": list(input_series(raw, step)),
                "promql_expr_test": tests,
            }
        ],
    }
    path = directory / "office.yml"
    path.write_text(json.dumps(document))
    command = [require("promtool"), "test", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def in_sequence() -> list[dict[str, object]]:
    """Return the rules in an order in which each reads what was recorded just before."""
    return [dict(rule) for rule in in_order(needed_rules())]


def read(output: str, step: int) -> Iterator[tuple[int, Values]]:
    """Yield the number of an evaluation, and all that promtool found at it."""
    for block in re.split(r"expr: ", output)[1:]:
        time = re.search(r"time: ((?:\d+[wdhm])+)", block)
        assert time, block
        parts = re.findall(r"(\d+)([wdhm])", time[1])
        found: Values = {}
        for inner, value in re.findall(r"\{([^}]*)\} ([-+.\dENa]+)", block):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', inner))
            name = labels.pop("__name__")
            fires = labels.pop("alertstate", "firing") == "firing"
            if fires and value != "NaN":
                found[name, kept(labels)] = float(value)
        seconds = sum(int(number) * SECONDS[unit] for number, unit in parts)
        yield seconds // (60 * step) - 1, found


def kept(labels: dict[str, str]) -> Labels:
    """Return *labels* without those that every alert has by itself."""
    return frozenset((key, labels[key]) for key in labels if key not in ("severity", "about"))


def ours(grid: Grid, raw: dict[str, Vector]) -> dict[tuple[str, Labels], Array]:
    data = Data(grid, raw)
    found: dict[tuple[str, Labels], Array] = {}
    for alert, by_labels in apply(needed_rules(), data).items():
        for labels, spells in by_labels.items():
            fires = np.full(grid.size, np.nan)
            for begin, end in spells:
                fires[begin : end + 1] = 1
            found["ALERTS", frozenset({*labels, ("alertname", alert)})] = fires
    for name, vector in data.recorded.items():
        found |= {(name, labels): values for labels, values in vector.items()}
    return found


def promtool_is_of_3() -> bool:
    done = subprocess.run([require("promtool"), "--version"], capture_output=True, text=True)
    return "version 3." in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("days", "step"),
    [
        pytest.param(8, 30, marks=pytest.mark.slow),
        pytest.param(18, 15, marks=pytest.mark.long),
    ],
)
def test_all_that_is_recorded_and_fires_is_as_promtool_says(
    tmp_path: Path, days: int, step: int
) -> None:
    _, everything = shown(written(250, seed=1)[0])
    last = TROUBLES_FROM // 60 + 3 * 1440
    raw = thinned(everything, last - days * 1440, last, step)
    grid = Grid(
        *((step - 2) * 60, days * 1440 // step, step * 60), delay=120, left_open=promtool_is_of_3()
    )
    judged = range(grid.size * 3 // 4, grid.size, 5)
    expected = ours(grid, raw)

    fired, compared = set(), 0
    for number, found in read(theirs(tmp_path, raw, step, judged), step):
        mine = {key: v for key, values in expected.items() if not np.isnan(v := values[number])}
        assert mine.keys() ^ found.keys() == set(), number
        assert mine == pytest.approx(found, rel=1e-6), number
        fired |= {key for key in found if key[0] == "ALERTS"}
        compared += len(found)
    assert fired
    assert compared > 50 * len(judged)


def test_what_it_does_not_know_is_an_error() -> None:
    data = Data(Grid(0, 3), {})
    for expression in ("deriv(a[5m])", "sum by (b) (a)", "a ^ 2", "a @ 5"):
        with pytest.raises((AssertionError, KeyError)):
            evaluate(parse(expression), data)
