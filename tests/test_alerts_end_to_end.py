"""Alerts on their way: exporter, Prometheus with our rules, Alertmanager, somebody's webhook.

The rules and thresholds are those that are shipped. The example configurations are as they are but
for addresses and for how long things wait: `scrape_interval`, `evaluation_interval`, `group_wait`
and `group_interval` (messages that something is over wait for the latter).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdr_exporter.simulator import SimulatedPBX

from .support.paths import ROOT
from .support.processes import Alertmanager, Exporter, Prometheus, Webhook, eventually
from .test_end_to_end import SECRET
from .test_rules import ALERTS

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "prometheus"


def example(name: str, changes: Mapping[str, str]) -> str:
    """Return an example configuration in which each key of *changes*, there once, is replaced."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def alertmanager_text(webhook: Webhook) -> str:
    return example(
        "alertmanager.yml",
        {
            "http://localhost:5001/": webhook.url,
            "group_wait: 30s": "group_wait: 1s",
            "group_interval: 5m": "group_interval: 1s",
        },
    )


def prometheus_text(target: str, alertmanager: str) -> str:
    return example(
        "prometheus.yml",
        {
            "scrape_interval: 30s": "scrape_interval: 1s",
            "evaluation_interval: 1m": "evaluation_interval: 1s",
            "- targets: [localhost:9093]": f"- targets: ['{alertmanager}']",
            "    static_configs:\n      - targets: [localhost:10088]": "    static_configs:\n"
            f"      - targets: ['{target}']",
        },
    )


def exporter_config(directory: Path, **base_urls: str) -> Path:
    (directory / "secret").write_text(SECRET)
    pbxs = "".join(
        f"  - {{name: {name}, base_url: '{url}', client_id: simulated,"
        " client_secret_file: secret}\n"
        for name, url in base_urls.items()
    )
    path = directory / "exporter.yml"
    path.write_text(f"poll_interval: 1s\nbirth_hold: 3s\ncall_settle: 5s\npbxs:\n{pbxs}")
    return path


def steer(base_url: str, command: str, **arguments: object) -> None:
    """Let something happen to the simulated PBX."""
    request = urllib.request.Request(
        f"{base_url}/control/{command}", data=json.dumps(arguments).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


@pytest.mark.timeout(420)
def test_a_failing_trunk_and_a_dead_pbx_are_told_and_then_that_they_are_well_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "rules").symlink_to(EXAMPLES / "rules")
    pbx, branch = SimulatedPBX(client_secret=SECRET), SimulatedPBX(client_secret=SECRET)
    # It is about to start: polled each 30 s, since that is what it asks for.
    branch.fail_next(times=1000, status=503, headers={"Retry-After": "30"})
    with (
        pbx.serve(control=True) as server,
        branch.serve() as starting,
        Webhook() as webhook,
        Exporter(
            exporter_config(tmp_path, hq=server.base_url, branch=starting.base_url)
        ) as exporter,
        Alertmanager(tmp_path, alertmanager_text(webhook)) as alertmanager,
        Prometheus(
            tmp_path,
            exporter.address,
            text=prometheus_text(exporter.address, alertmanager.address),
        ) as prometheus,
    ):
        # One that works, so that the trunk is known.
        steer(server.base_url, "calls", rows=[{"call_type": "Outbound"}])
        known = 'cdr_records_total{pbx="hq",disposition="ANSWERED",call_type="Outbound"} == 1'
        eventually("the trunk is known", lambda: prometheus.query(known))
        failed = {"call_type": "Outbound", "disposition": "FAILED"}
        steer(server.base_url, "calls", rows=[failed] * 12)

        told = eventually(
            "the failing trunk is told",
            lambda: webhook.first("firing", "CDRTrunkFailures", "hq"),
            patience=120,
        )
        assert told["labels"] | ALERTS["CDRTrunkFailures"]["labels"] == told["labels"]
        assert told["annotations"] == ALERTS["CDRTrunkFailures"]["annotations"] | {
            "description": told["annotations"]["description"]
        }
        assert (
            "% of the outbound calls by SIP-Provider of hq failed in the last 3 minutes."
            in told["annotations"]["description"]
        )

        told = eventually(
            "the dead PBX is told",
            lambda: webhook.first("firing", "CDRPBXDown", "branch"),
            patience=150,
        )
        assert told["annotations"]["description"].startswith("No poll of branch has succeeded")
        branch.heal()
        for alertname, name in (("CDRPBXDown", "branch"), ("CDRTrunkFailures", "hq")):
            eventually(
                f"{alertname} is over",
                lambda alertname=alertname, name=name: webhook.first("resolved", alertname, name),
                patience=200,
            )

        names = {each["labels"]["alertname"] for each in webhook.told}
        assert names == {"CDRPBXDown", "CDRTrunkFailures"}


def test_what_is_known_of_a_dead_pbx_is_not_told_and_of_the_others_is(tmp_path: Path) -> None:
    with (
        Webhook() as webhook,
        Alertmanager(tmp_path, alertmanager_text(webhook)) as alertmanager,
    ):

        def post(pbx: str, *names: str) -> None:
            alertmanager.post(
                *({"alertname": name, "pbx": pbx, **ALERTS[name]["labels"]} for name in names)
            )

        def found(state: str) -> set[tuple[str, str]]:
            return {
                (each["labels"]["alertname"], each["labels"]["pbx"])
                for each in alertmanager.alerts()
                if each["status"]["state"] == state
            }

        calls = [name for name, rule in ALERTS.items() if "about" in rule["labels"]]
        post("dead", "CDRPBXDown", "CDRStateReset")
        post("refused", "CDRAuthBlocked")
        post("alive", "CDRTrunkFailures")
        eventually("the reasons are there", lambda: len(found("active")) == 4)
        post("dead", *calls)
        post("refused", "CDRPBXDown")
        post("alive", *calls)

        silent = {("dead", name) for name in calls} | {
            ("refused", "CDRPBXDown"),
            ("alive", "CDRAnswerRatioFell"),
        }
        told = {("dead", "CDRPBXDown"), ("dead", "CDRStateReset"), ("refused", "CDRAuthBlocked")}
        told |= {("alive", name) for name in calls} - silent
        eventually("all is judged", lambda: len(found("suppressed")) == len(silent))
        assert {(pbx, name) for name, pbx in found("suppressed")} == silent
        eventually("what is to be told is told", lambda: heard(webhook) >= told)
        assert heard(webhook) == told


def heard(webhook: Webhook) -> set[tuple[str, str]]:
    return {(each["labels"]["pbx"], each["labels"]["alertname"]) for each in webhook.told}
