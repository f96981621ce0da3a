"""Snapshots of PBXs, a clock that stands still, and a client that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from cdr_exporter.clock import Now
from cdr_exporter.exposition import Exposition
from cdr_exporter.metrics.catalogue import (
    BACKLOG,
    DELAY_BUCKETS,
    LAST_RECORD,
    LAST_SUCCESS,
    PBX_RECORDS,
    POLLS,
    RECORDS,
    UP,
)
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, initial_totals
from cdr_exporter.web import App, Replicas
from cdr_exporter.web.messages import HTTPRequest

NOW = Now(wall=1_700_000_000.0, steady=5_000.0)
BOUNDS = {
    "duration": (10, 60),
    "ring": (5, 20),
    "wait": (5, 20),
    "legs": (1, 2),
    "delay": DELAY_BUCKETS,
}
DASHBOARDS = {"calls.json": b'{"uid": "calls"}'}
RUNBOOK = "# Runbook\n\n## CDRPBXDown\n\n**Means:** It is down.\n"
RULES = {"cdr.yml": b"groups: []\n"}


def snapshot(
    name: str = "hq",
    *,
    gauges: Mapping[str, float] | None = None,
    answered: int = 7,
    trunks: Sequence[str] = ("sip",),
    shown: bool = True,
    fresh_until: float = NOW.steady + 60,
    attempted: bool = True,
    failure: str = "",
) -> Snapshot:
    """Return a PBX that is up, with *gauges* by family name in place of the usual ones."""
    usual = {
        UP.name: 1.0,
        BACKLOG.name: 0.0,
        PBX_RECORDS.name: 900.0,
        LAST_SUCCESS.name: NOW.wall - 12,
        LAST_RECORD.name: NOW.wall - 340,
    }
    totals = initial_totals(trunks)
    counted = {Series(RECORDS.name, ("ANSWERED", "Inbound", trunks[0])): (answered,)}
    return Snapshot(
        pbx=name,
        totals=totals.merged(counted, totals.trunks, 0.0),
        own={Series(POLLS.name): (3,)},
        gauges={Series(key): value for key, value in {**usual, **(gauges or {})}.items()},
        shown=shown,
        fresh_until=fresh_until,
        attempted=attempted,
        failure=failure,
    )


def exposition() -> Exposition:
    return Exposition(BOUNDS, version="1.2.3")


def app(
    *shown: Snapshot,
    snapshots: Callable[[], Sequence[Snapshot]] | None = None,
    now: Callable[[], Now] = lambda: NOW,
    alive: Callable[[], bool] = lambda: True,
    waits_for: Callable[[], str] = lambda: "",
    dashboards: Mapping[str, bytes] = DASHBOARDS,
    rules: Mapping[str, bytes] = RULES,
    zones: Mapping[str, tzinfo] | None = None,
    external_url: str | None = None,
    has_tls: bool = False,
    replicas: Replicas | None = None,
) -> App:
    """Return the application over the snapshots *shown*, with one dashboard and one rule file."""
    return App(
        snapshots=snapshots or (lambda: shown),
        exposition=exposition(),
        now=now,
        alive=alive,
        waits_for=waits_for,
        version="1.2.3",
        dashboards=dashboards,
        rules=rules,
        runbook=RUNBOOK,
        zones={} if zones is None else zones,
        external_url=external_url,
        has_tls=lambda: has_tls,
        replicas=replicas,
    )


@dataclass
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(application: App, target: str, method: str = "GET", **headers: str) -> Response:
    """Send a request directly to the application; *headers* are fields of `HTTPRequest`."""
    path, _, query = target.partition("?")
    answer = application(HTTPRequest(method, path, query, **headers))
    given = answer.all_headers
    assert len(dict(given)) == len(given), "a header came twice"
    return Response(answer.status.value, dict(given), b"".join(answer.pieces()))
