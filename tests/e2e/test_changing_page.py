"""A real Prometheus scrapes with gzip, all at once and each PBX by itself, while much changes."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ..support.changing_pbxs import ChangingFleet, ChangingPBX
from ..support.processes import Prometheus, eventually, get
from ..support.web import BOUNDS, app
from ..support.web_server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CONFIG = """
global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - {job_name: whole, static_configs: [{targets: ['%(target)s']}]}
  - {job_name: each, http_sd_configs: [{url: 'http://%(target)s/sd', refresh_interval: 500ms}]}
"""
NAMES = [f"pbx-{number:02}" for number in range(40)]
STEPS = ["poll"] * 20 + ["row"] * 10 + ["call"] * 5 + ["wait", "hide"]
SECONDS = 3.0

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values_on(page: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if "pbx" in sample.labels
    }


def values_in(prometheus: Prometheus, job: str) -> Values:
    found = prometheus.query(f'{{job="{job}", pbx!=""}}')
    return {
        (name, frozenset(each["metric"].items())): float(each["value"][1])
        for each in found
        if (name := each["metric"].pop("__name__"))
        and each["metric"].pop("job")
        and each["metric"].pop("instance")
    }


def test_prometheus_holds_what_is_on_the_page_after_any_changes(tmp_path: Path) -> None:
    changing = ChangingFleet({name: ChangingPBX(name, BOUNDS) for name in NAMES})
    chance = random.Random(1)
    application = app(
        snapshots=lambda: [pbx.snapshot for pbx in changing.shown], now=lambda: changing.now
    )
    with serving(application) as server:
        url = server.addresses[0].url
        target = url.removeprefix("http://").rstrip("/")
        text = CONFIG % {"target": target}
        with Prometheus(tmp_path, target, "--log.level=debug", text=text) as prometheus:
            eventually("all targets", lambda: len(prometheus.query("up == 1")) == 1 + len(NAMES))
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                changing.change(chance.choice(STEPS), chance.choice(NAMES), chance.randrange(40))
                time.sleep(0.005)

            page = values_on(get(f"{url}metrics"))
            for job in ("whole", "each"):
                eventually(f"the page as {job}", lambda: values_in(prometheus, job) == page)  # noqa: B023
            assert len(page) > 5_000
            assert prometheus.query("resets(cdr_records_total[1m]) > 0") == []
        failed = [line for line in prometheus.output if "Scrape failed" in line]
        assert [line for line in failed if "deadline exceeded" not in line] == []  # slow machine
