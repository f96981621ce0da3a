"""The shares on the exporter's own pages are those of the recording rules, on the same calls."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdr_exporter.calls import OUTCOMES, Call, group_calls
from cdr_exporter.metrics.call_metrics import count_calls
from cdr_exporter.metrics.catalogue import FAMILIES, HISTOGRAM
from cdr_exporter.metrics.quarters import CallSums, Quarters

from ..support.counts import all_quarters
from ..support.finished_calls import NOW, call
from ..support.programs import require
from ..support.prometheus_rules import FOLDER
from ..support.rows import BOUNDS

ANSWERED = 'pbx_outcome:cdr_inbound_calls:ratio1h{outcome="answered", pbx="%s"}'
IN_TIME = 'pbx:cdr_service_level_20s:ratio1h{pbx="%s"}'
KINDS = {family.name: family for family in FAMILIES}


def some_calls(chance: random.Random) -> list[Call]:
    """Return calls of any kind; of some sets none is inbound, of some none is answered."""
    outcomes = chance.sample(OUTCOMES, chance.randint(1, len(OUTCOMES)))
    types = chance.sample(["Inbound", "Outbound", "Internal"], chance.randint(1, 3))
    return [
        call(
            NOW,
            outcome := chance.choice(outcomes),
            call_type=chance.choice(types),
            trunk=chance.choice(["sip", "PSTN"]),
            wait=chance.choice([0, 19, 20, 21, 40]) if outcome == "answered" else None,
            abandon=chance.choice([None, 0, 5, 6, 40]) if outcome == "no_answer" else None,
        )
        for _ in range(chance.randint(1, 40))
    ]


def input_series(pbx: str, calls: list[Call]) -> Iterator[dict[str, str]]:
    """Yield what a scrape shows of *calls*, which are all counted within the hour."""
    for series, value in count_calls(
        group_calls(calls), BOUNDS, frozenset({"sip", "PSTN"})
    ).items():
        family = KINDS[series.family]
        labels = {"pbx": pbx, **dict(zip(family.labels, series.labels, strict=True))}
        if family.kind != HISTOGRAM:
            yield sample(family.name, labels, value[0])
            continue
        bounds = [*(f"{bound}.0" for bound in BOUNDS[family.buckets]), "+Inf"]
        for bound, count in zip(bounds, accumulate(value[:-1]), strict=True):
            yield sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
        yield sample(f"{family.name}_count", labels, sum(value[:-1]))


def sample(name: str, labels: dict[str, str], count: int) -> dict[str, str]:
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inner}}}", "values": f"0 {count}x60"}


def expected(pbx: str, sums: CallSums) -> Iterator[dict[str, Any]]:
    """Yield the tests that the rules give the shares of *sums*, or none where there is none."""
    cases = (
        (ANSWERED % pbx, sums.answered_share, f'{{outcome="answered", pbx="{pbx}"}}'),
        (IN_TIME % pbx, sums.in_time_share, f'{{pbx="{pbx}"}}'),
    )
    for ratio, share, labels in cases:
        if share is None:
            yield {"expr": ratio, "eval_time": "1h", "exp_samples": []}
        elif not (share == 0 and ratio.startswith("pbx_outcome")):
            close = f"abs({ratio} - {share!r}) < bool 1e-9"
            samples = [{"labels": labels, "value": 1}]
            yield {"expr": close, "eval_time": "1h", "exp_samples": samples}


@pytest.mark.e2e
def test_the_shares_of_a_page_are_those_that_the_rules_record(tmp_path: Path) -> None:
    promtool = require("promtool")
    chance = random.Random(5)
    sets = {f"pbx{number}": some_calls(chance) for number in range(60)}
    sums = {
        pbx: all_quarters(Quarters().after(group_calls(each), NOW).after)
        for pbx, each in sets.items()
    }
    test = {
        "interval": "1m",
        "input_series": [each for pbx in sets for each in input_series(pbx, sets[pbx])],
        "promql_expr_test": [each for pbx in sets for each in expected(pbx, sums[pbx])],
    }
    hour, *_ = yaml.safe_load((FOLDER / "rules" / "cdr-kpis.yml").read_text())["groups"]
    rules, path = tmp_path / "rules.yml", tmp_path / "shares.yml"
    # JSON is YAML, too. They are asked for once, so they need not be worked out each minute.
    rules.write_text(json.dumps({"groups": [{**hour, "interval": "30m"}]}))
    file = {"rule_files": [str(rules)], "evaluation_interval": "30m", "tests": [test]}
    path.write_text(json.dumps(file))

    run = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True)

    assert {each.answered_share is None for each in sums.values()} == {True, False}
    assert {each.in_time_share is None for each in sums.values()} == {True, False}
    assert run.returncode == 0, run.stdout + run.stderr
