"""`deploy/compose.yml` as processes: dashboards with data at once, and alerts that arrive."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from grafana.generator.panels import JSON, NONE_SEEN

from ..support.compose import REPLICAS, Stack, image_of, of_profile
from ..support.dashboards import DASHBOARDS, filled_in, macros, panels, shown_by, step_of, targets
from ..support.processes import eventually, get
from ..support.programs import require

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

DAY = 86_400
TWO = ("replica-1", "replica-2")
THREE_SCRAPES = 100
"""Seconds from the start of Prometheus, with some to ask in; a rate needs two of them."""

WITHOUT_FAULTS_SILENT = {"Rows not as documented"}
"""Simulated PBXs show no such fault by themselves."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    for program in ("prometheus", "promtool", "prometheus-alertmanager"):
        require(program)
    with Stack(tmp_path_factory.mktemp("compose")) as it:
        eventually("ready", lambda: "Ready" in get(it.url("prometheus", 9090) + "/-/ready"))
        yield it


def ask(stack: Stack, path: str, **parameters: Any) -> list[dict[str, Any]]:
    url = f"{stack.url('prometheus', 9090)}/api/v1/{path}?{urlencode(parameters)}"
    found: list[dict[str, Any]] = json.loads(get(url))["data"]["result"]
    return found


def silent_panels(stack: Stack) -> list[str]:
    """Return the panels of which a query finds nothing at its default range.

    Those that show faults only are left out: they say themselves that none was seen.
    """
    return [
        f"{name}: {panel['title']}"
        for name, dashboard in DASHBOARDS.items()
        for panel in panels(dashboard)
        if panel["fieldConfig"]["defaults"].get("noValue") != NONE_SEEN
        and panel["title"] not in WITHOUT_FAULTS_SILENT
        and not all(found(stack, dashboard, panel, query) for query in targets(panel))
    ]


def found(stack: Stack, dashboard: JSON, panel: JSON, query: JSON) -> list[dict[str, Any]]:
    shown = shown_by(dashboard, panel)
    step, now = step_of(panel, shown), int(time.time())
    expression = filled_in(query["expr"], macros(step, shown, now))
    if query["instant"]:
        return ask(stack, "query", query=expression)
    return ask(stack, "query_range", query=expression, start=now - shown, end=now, step=step)


def test_after_three_scrapes_every_panel_shows_something(stack: Stack) -> None:
    silent = silent_panels(stack)
    end = time.monotonic() + THREE_SCRAPES
    while silent and time.monotonic() < end:
        time.sleep(2)
        silent = silent_panels(stack)

    assert silent == []


def test_past_and_present_are_one_series_in_which_nothing_falls(stack: Stack) -> None:
    [targets_] = ask(stack, "query", query="count(group by (job, instance) (cdr_calls_total))")
    [resets] = ask(stack, "query", query="max(resets(cdr_calls_total[1d]))")
    a_day, now = f"sum by (pbx) (increase(cdr_calls_total[{DAY}s]))", time.time()
    days = [ask(stack, "query", query=a_day, time=now - n * DAY) for n in range(8)]

    assert (targets_["value"][1], resets["value"][1]) == ("1", "0")
    assert all({each["metric"]["pbx"] for each in day} == {"hq", "branch"} for day in days)


def test_an_alert_arrives_where_it_is_printed(stack: Stack) -> None:
    alert = {"labels": {"alertname": "CDRTrying", "about": "fraud", "pbx": "hq"}}
    alert["annotations"] = {"summary": "this is a try"}
    request = urllib.request.Request(
        f"{stack.url('alertmanager', 9093)}/api/v2/alerts",
        data=json.dumps([alert]).encode(),
        headers={"Content-Type": "application/json"},
    )
    eventually("it is taken", lambda: urllib.request.urlopen(request, timeout=10).status == 200)

    output = stack.running["alerts"].output
    eventually(
        "printed", lambda: [each for each in output if "firing CDRTrying: this is a try" in each]
    )


def test_all_but_grafana_was_started(stack: Stack) -> None:
    left_out = {*of_profile("")} - stack.running.keys()

    assert {image_of(name) for name in left_out} == {"grafana/grafana"}
    assert sorted(stack.completed) == ["history", "past", "promtool"]
    assert all(it.running for name, it in stack.running.items() if name not in stack.completed)


@pytest.mark.parametrize("service", ["promtool", "history", "past"])
def test_started_again_it_does_not_write_the_past_again(stack: Stack, service: str) -> None:
    written = blocks_in(stack)

    assert stack.again(service) == 0
    assert len(written) > 9
    assert blocks_in(stack) == written


def blocks_in(stack: Stack) -> list[str]:
    return sorted(each.parent.name for each in stack.volume("past").glob("*/*/meta.json"))


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Stack]:
    """Two replicas over PostgreSQL, of which the second is asked for /sd."""
    require("prometheus")
    with Stack(tmp_path, REPLICAS) as it:
        yield it


def shown_by_replica(stack: Stack, name: str) -> set[str]:
    """Return the PBXs of which a replica shows calls."""
    page = get(stack.url(name, 10_088) + "/metrics")
    return set(re.findall(r'^cdr_calls_total\{.*pbx="(\w+)"', page, re.MULTILINE))


def test_a_replica_goes_on_with_the_pbxs_of_one_that_was_killed(replicas: Stack) -> None:
    """Prometheus finds each PBX where it is, by the files as they stand."""

    def found(expression: str) -> dict[str, float]:
        url = replicas.url("prometheus-of-replicas", 9090)
        answer = json.loads(get(f"{url}/api/v1/query?{urlencode({'query': expression})}"))
        return {
            each["metric"]["instance"]: float(each["value"][1]) for each in answer["data"]["result"]
        }

    def both_are_up() -> bool:
        return found('up{job="cdr-exporter"}') == {"hq": 1, "branch": 1}

    eventually(
        "each replica has a PBX",
        lambda: sorted(map(len, (shown_by_replica(replicas, each) for each in TWO))) == [1, 1],
        120,
    )
    eventually("both are scraped", both_are_up, 120)
    eventually("so are both replicas", lambda: len(found("cdr_exporter_leases == 1")) == 2, 120)
    before = found("sum by (instance) (cdr_calls_total)")
    [gone] = shown_by_replica(replicas, TWO[0])
    replicas.running[TWO[0]].kill()
    eventually(
        "the other one shows both",
        lambda: shown_by_replica(replicas, TWO[1]) == {"hq", "branch"},
        120,
    )
    eventually("and is scraped for both", lambda: found("cdr_up") == {"hq": 1, "branch": 1}, 120)
    after = found("sum by (instance) (cdr_calls_total)")

    assert all(after[each] >= before[each] > 0 for each in ("hq", "branch"))
    assert found("resets(cdr_calls_total[30m]) > 0") == {}
    assert gone in before
