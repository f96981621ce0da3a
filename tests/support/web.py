"""PBXs as they look from outside, a clock that stands, and a client without a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
from cdr_exporter.metrics.totals import Series, first_totals
from cdr_exporter.web import App

NOW = Now(wall=1_700_000_000.0, steady=5_000.0)
BOUNDS = {
    "duration": (10, 60),
    "ring": (5, 20),
    "wait": (5, 20),
    "legs": (1, 2),
    "delay": DELAY_BUCKETS,
}


def snapshot(name="hq", *, gauges=None, answered=7, trunks=("sip",), **changes):
    """Return a PBX that is up, with *gauges* by family name put over the usual ones."""
    usual = {
        UP.name: 1.0,
        BACKLOG.name: 0.0,
        PBX_RECORDS.name: 900.0,
        LAST_SUCCESS.name: NOW.wall - 12,
        LAST_RECORD.name: NOW.wall - 340,
    }
    totals = first_totals(trunks)
    counted = {Series(RECORDS.name, ("ANSWERED", "Inbound", trunks[0])): (answered,)}
    return Snapshot(
        **{
            "pbx": name,
            "totals": totals.merged(counted, totals.trunks, 0.0),
            "own": {Series(POLLS.name): (3,)},
            "gauges": {Series(key): value for key, value in {**usual, **(gauges or {})}.items()},
            "shown": True,
            "fresh_until": NOW.steady + 60,
            "attempted": True,
            **changes,
        }
    )


def exposition():
    return Exposition(BOUNDS, version="1.2.3")


def app(*snapshots, **changes):
    """Return the application over *snapshots*, with one dashboard and one rule file."""
    return App(
        **{
            "snapshots": lambda: snapshots,
            "exposition": exposition(),
            "now": lambda: NOW,
            "alive": lambda: True,
            "version": "1.2.3",
            "dashboards": {"calls.json": b'{"uid": "calls"}'},
            "rules": {"cdr.yml": b"groups: []\n"},
            **changes,
        }
    )


@dataclass
class Response:
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self):
        return self.body.decode()


def ask(application, target, method="GET", **headers):
    """Send a request straight to the application; *headers* are written with underscores."""
    response = Response()

    def start_response(status, given):
        response.status = int(status.split()[0])
        response.headers = dict(given)
        assert len(response.headers) == len(given), "a header came twice"

    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ = {"REQUEST_METHOD": method, "REQUEST_URI": target, **named}
    response.body = b"".join(application(environ, start_response))
    return response
