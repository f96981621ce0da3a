"""The alerts about calls: offices in which each fires, and in which none must.

`alert_scenarios` has the offices, in three documents; promtool is the judge. Where something is not
as expected, it names the alert and the office (`pbx`).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ..support import alert_scenarios, promtool_tests
from ..support.prometheus_rules import ALERTS, RULES, alerts_of

ABOUT = ("telephony", "fraud", "quiet")


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Return the test documents: made once, and not where no test here runs."""
    made = alert_scenarios.documents(ALERTS)
    assert tuple(made) == ABOUT
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    "about",
    [
        pytest.param("telephony", marks=pytest.mark.long),
        pytest.param("fraud", marks=pytest.mark.long),
        pytest.param("quiet", marks=pytest.mark.long),
    ],
)
def test_alerts_fire_in_their_stories_and_in_no_other(tmp_path: Path, about: str) -> None:
    promtool_tests.run(*promtool_tests.write_trimmed(tmp_path, documents()[about]))


GATE = "(cdr_up == 1 and cdr_exporter_backlog == 0)"


@pytest.mark.parametrize("alert", alerts_of("cdr-telephony.yml") + alerts_of("cdr-fraud.yml"))
def test_nothing_is_told_of_calls_while_catching_up(alert: str) -> None:
    how = r"and(?: ignoring \((?:trunk|destination)\))?"

    assert re.search(rf"\n{how}\n  {re.escape(GATE)}\n$", ALERTS[alert]["expr"])


@pytest.mark.parametrize("name", ["cdr-telephony.yml", "cdr-fraud.yml"])
def test_nothing_is_compared_with_what_prometheus_has_forgotten_by_default(name: str) -> None:
    hours = [
        int(number) * {"h": 1, "d": 24}[unit]
        for number, unit in re.findall(
            r"offset (\d+)([hd])", (alert_scenarios.RULES / name).read_text()
        )
    ]

    assert hours
    assert max(hours) + 3 <= 15 * 24, "an hour was counted, and two of them are looked at"


def test_an_attack_on_a_destination_does_not_become_what_is_usual_within_a_day() -> None:
    past = [
        rule["expr"]
        for rule in RULES
        if rule.get("record", "").startswith("pbx_destination:") and "_past:" in rule["record"]
    ]

    assert len(past) == 2
    for expression in past:
        assert re.search(r"\[1w:1h\] offset 1d\)$", expression.strip()), expression
