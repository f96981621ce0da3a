"""The alerts about calls: offices in which each fires, and in which none must.

`stories` has the offices; promtool is the judge. What it says of one alert is one test here.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .support import alert_scenarios
from .support.programs import require
from .test_rules import ALERTS, alerts_of

ABOUT = ("telephony", "fraud", "quiet")
FIRING = alert_scenarios.TELEPHONY | alert_scenarios.FRAUD


@cache
def documents() -> dict[str, dict[str, Any]]:
    """Return the test documents: made once, and not where no test here runs."""
    made = alert_scenarios.documents(ALERTS)
    assert tuple(made) == ABOUT
    return made


@cache
def verdict(about: str, directory: Path) -> str:
    """Return what promtool has to say against the rules, if anything."""
    path = directory / f"{about}.yml"
    path.write_text(json.dumps(documents()[about]))
    done = subprocess.run(
        [require("promtool"), "test", "rules", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("promtool")


def faults(said: str, about: str) -> list[str]:
    """Return the paragraphs of what promtool *said* that are *about* something."""
    return [
        each
        for each in re.split(r"(?=^    (?:name|expr|rule): )", said, flags=re.M)
        if about in each
    ]


@pytest.mark.parametrize(
    ("about", "alert"),
    [
        *(("telephony", alert) for alert in alert_scenarios.judged(alert_scenarios.TELEPHONY)),
        *(("fraud", alert) for alert in alert_scenarios.judged(alert_scenarios.FRAUD)),
    ],
)
def test_an_alert_fires_in_its_story_and_in_none_of_its_twins(
    directory: Path, about: str, alert: str
) -> None:
    assert faults(verdict(about, directory), f"alertname: {alert},") == []


@pytest.mark.parametrize("story", alert_scenarios.QUIET)
def test_nothing_fires_in_a_quiet_story(directory: Path, story: str) -> None:
    assert faults(verdict("quiet", directory), f'pbx="{story}"') == []


@pytest.mark.parametrize("about", ABOUT)
def test_promtool_has_nothing_to_say(directory: Path, about: str) -> None:
    assert verdict(about, directory) == ""


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
