"""Alerts on their way: exporter, Prometheus with our rules, Alertmanager, somebody's webhook.

The rules, thresholds and example configurations are those that are shipped, with addresses of the
test and with all durations divided by 60: a minute takes a second. `shortening` says what that
covers and what not. The exporter is not shortened: it polls each second, the least that it allows.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from pbx_simulator import APISettings, SimulatedPBX
from pbx_simulator.http_messages import HTTPReply, HTTPRequest
from pbx_simulator.serving import serve

from ..support.exporter_and_simulator import SECRET
from ..support.paths import ROOT
from ..support.processes import PATIENCE, Alertmanager, Exporter, Prometheus, Webhook, eventually
from ..support.prometheus_rules import ALERTS
from ..support.shortening import shortened

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "prometheus"

FACTOR = 60


def example(name: str) -> Any:
    """Return a file that is shipped, loaded and with all durations shortened."""
    return shortened(yaml.safe_load((EXAMPLES / name).read_text()), FACTOR)


def alertmanager_text(webhook: Webhook) -> str:
    config = example("alertmanager.yml")
    (receiver,) = config["receivers"]
    receiver["webhook_configs"] = [{"url": webhook.url}]
    return json.dumps(config)


def prometheus_text(target: str, alertmanager: str) -> str:
    config = example("prometheus.yml")
    (job,) = config["scrape_configs"]
    (alerting,) = config["alerting"]["alertmanagers"]
    job["static_configs"] = [{"targets": [target]}]
    alerting["static_configs"] = [{"targets": [alertmanager]}]
    return json.dumps(config)


def write_rules(directory: Path) -> None:
    """Write the shortened rules to where the example configuration looks for them."""
    (directory / "rules").mkdir()
    for path in (EXAMPLES / "rules").glob("*.yml"):
        (directory / "rules" / path.name).write_text(json.dumps(example(f"rules/{path.name}")))


def exporter_config(directory: Path, **base_urls: str) -> Path:
    (directory / "secret").write_text(SECRET)
    pbxs = "".join(
        f"  - {{name: {name}, base_url: '{url}', client_id: simulated,"
        " client_secret_file: secret}\n"
        for name, url in base_urls.items()
    )
    path = directory / "exporter.yml"
    path.write_text(
        "poll_interval: 1s\nrequest_timeout: 2m\nstale_after: 5m\nbirth_hold: 2s\n"
        f"call_settle: 5s\npbxs:\n{pbxs}"
    )
    return path


def steer(base_url: str, command: str, **arguments: object) -> None:
    """Let something happen to the simulated PBX."""
    request = urllib.request.Request(
        f"{base_url}/control/{command}", data=json.dumps(arguments).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


FAILED = {"call_type": "Outbound", "disposition": "FAILED"}


class HangingPBX(SimulatedPBX):
    """A PBX that takes requests and answers none until it is well again.

    Failures would make the exporter wait longer and longer, so that its return would take a time of
    chance.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.well_again = threading.Event()

    def answer(self, request: HTTPRequest) -> HTTPReply:
        self.well_again.wait(PATIENCE)
        return super().answer(request)


def test_a_failing_trunk_and_a_dead_pbx_are_reported_and_then_that_they_are_well_again(
    tmp_path: Path,
) -> None:
    write_rules(tmp_path)
    pbx = SimulatedPBX(api=APISettings(client_secret=SECRET))
    branch = HangingPBX(api=APISettings(client_secret=SECRET))
    with (
        serve(pbx, with_control=True) as server,
        serve(branch) as starting,
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

        def trunk_fails() -> dict[str, Any] | None:
            # Calls go on failing until it is reported, however late Prometheus looks.
            steer(server.base_url, "calls", rows=[FAILED])
            return webhook.first("firing", "CDRTrunkFailures", "hq")

        alert = eventually("the failing trunk is reported", trunk_fails)
        assert alert["labels"] | ALERTS["CDRTrunkFailures"]["labels"] == alert["labels"]
        assert alert["annotations"] == ALERTS["CDRTrunkFailures"]["annotations"] | {
            "description": alert["annotations"]["description"]
        }
        assert (
            "% of the outbound calls by SIP-Provider of hq failed in the last 45 minutes,"
            in alert["annotations"]["description"]
        )

        alert = eventually(
            "the dead PBX is reported", lambda: webhook.first("firing", "CDRPBXDown", "branch")
        )
        assert alert["annotations"]["description"].startswith("No poll of branch has succeeded")
        branch.well_again.set()
        # The trunk is well again once calls get through.
        steer(server.base_url, "calls", rows=[{"call_type": "Outbound"}] * 30)
        for alertname, name in (("CDRPBXDown", "branch"), ("CDRTrunkFailures", "hq")):
            eventually(f"{alertname} is over", partial(webhook.first, "resolved", alertname, name))

        names = {each["labels"]["alertname"] for each in webhook.received}
        # So many calls are suspicious on a weekend and at night, when the test may run.
        at_night = {"CDROutboundOutOfHours", "CDROutboundTalkOutOfHours"}
        assert names - at_night == {"CDRPBXDown", "CDRTrunkFailures"}


EXPLAINED_BY_OTHERS = {
    "CDRAnswerRatioFell",
    "CDRServiceLevelMissed",
    "CDRAbandonmentRose",
    "CDRMachineOnlyRose",
    "CDRVoicemailRose",
    "CDRNoInboundCalls",
    "CDROutboundOutOfHours",
    "CDROutboundTalkBurst",
}
"""The alerts about calls that are kept back where all alerts about calls fire."""


def test_what_is_known_of_a_dead_pbx_is_not_reported_and_of_the_others_is(tmp_path: Path) -> None:
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
        # First, since what is sent together may be passed on before it is known to be explained.
        reasons = [name for name in calls if name not in EXPLAINED_BY_OTHERS]
        post("alive", *reasons)
        eventually("the reasons are there", lambda: len(found("active")) == 3 + len(reasons))
        post("dead", *calls)
        post("refused", "CDRPBXDown")
        post("alive", *calls)

        silent = {("dead", name) for name in calls} | {
            ("refused", "CDRPBXDown"),
            *(("alive", name) for name in EXPLAINED_BY_OTHERS),
        }
        expected = {
            ("dead", "CDRPBXDown"),
            ("dead", "CDRStateReset"),
            ("refused", "CDRAuthBlocked"),
        }
        expected |= {("alive", name) for name in calls} - silent
        eventually("all is judged", lambda: len(found("suppressed")) == len(silent))
        assert {(pbx, name) for name, pbx in found("suppressed")} == silent
        eventually("all is sent that should be", lambda: received_by(webhook) >= expected)
        assert received_by(webhook) == expected


def received_by(webhook: Webhook) -> set[tuple[str, str]]:
    return {(each["labels"]["pbx"], each["labels"]["alertname"]) for each in webhook.received}
