"""`cdr_utc_offset_seconds`: right at every scrape, even when nothing was published for hours."""

from __future__ import annotations

import threading
import urllib.request
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdr_exporter import config
from cdr_exporter.clock import Now
from cdr_exporter.commands.exporter import Exporter, time_zones
from cdr_exporter.exposition import Exposition
from cdr_exporter.exposition.utc_offset import seconds_until_change, utc_offset
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, Totals
from cdr_exporter.web import ListenAddress

from ..support.rows import BOUNDS

HOUR = 3600.0


def instant(text: str) -> float:
    """Return an instant of UTC in epoch seconds."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


SPRING, AUTUMN = instant("2026-03-29 01:00:00"), instant("2026-10-25 01:00:00")
ONE_ZONE_EACH = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Africa/Casablanca",
]


class Scraper:
    """Scrapes one PBX in *zone*, for which nothing new is published; both clocks run evenly."""

    def __init__(self, zone: str, began: float, snapshot: Snapshot | None = None) -> None:
        self.exposition = Exposition(BOUNDS, "1.2.3", {"hq": ZoneInfo(zone)})
        self.snapshot = snapshot or Snapshot(pbx="hq")
        self._began = began
        self.set_by = 0.0

    def now(self, wall: float) -> Now:
        return Now(wall + self.set_by, 1_000.0 + wall - self._began)

    def offset(self, wall: float) -> float:
        """Return what a scrape at *wall* shows."""
        body = self.exposition.one_pbx(self.snapshot, self.now(wall), openmetrics=False)
        [line] = [
            line for line in body.plain.decode().splitlines() if line.startswith("cdr_utc_offset")
        ]
        name, _, value = line.partition(" ")
        assert name == 'cdr_utc_offset_seconds{pbx="hq"}'
        return float(value)


@pytest.mark.parametrize(
    ("zone", "change", "before", "after"),
    [
        pytest.param("Europe/Berlin", SPRING, 3600, 7200, id="spring"),
        pytest.param("Europe/Berlin", AUTUMN, 7200, 3600, id="autumn"),
        pytest.param("America/St_Johns", instant("2026-03-08 05:30:00"), -12600, -9000, id="half"),
        pytest.param(
            "Australia/Lord_Howe",
            instant("2026-04-04 15:00:00"),
            39600,
            37800,
            id="by half an hour",
        ),
        pytest.param(
            "Africa/Monrovia", instant("1972-01-07 00:44:30"), -2670, 0, id="by odd seconds"
        ),
        pytest.param("Europe/Berlin", instant("2050-03-27 01:00:00"), 3600, 7200, id="far ahead"),
    ],
)
@pytest.mark.parametrize(
    "seen_before",
    [
        pytest.param([], id="never scraped before"),
        pytest.param([2 * HOUR], id="not scraped for two hours"),
        pytest.param(range(7200, 1, -15), id="scraped every 15 s"),
    ],
)
def test_the_offset_changes_on_the_second_though_nothing_is_published(
    zone: str, change: float, before: float, after: float, seen_before: list[float]
) -> None:
    scraper = Scraper(zone, change - 3 * HOUR)

    assert {scraper.offset(change - seconds) for seconds in seen_before} <= {before}
    assert scraper.offset(change - 1) == before
    assert scraper.offset(change - 0.01) == before
    assert scraper.offset(change) == after
    assert scraper.offset(change + 1) == after


@given(
    st.sampled_from(ONE_ZONE_EACH),
    st.sampled_from([SPRING, AUTUMN, instant("2026-04-04 15:00:00"), instant("2026-03-22 02:00")]),
    st.floats(0, 7200),
    st.lists(st.floats(0, 4000), max_size=8),
)
@example("Europe/Berlin", SPRING, 900.0, [899.5, 0.5, 0.5])
def test_every_scrape_shows_what_the_zone_says(
    zone: str, change: float, ahead: float, pauses: list[float]
) -> None:
    wall = change - ahead
    scraper = Scraper(zone, wall)

    for pause in [0, *pauses]:
        # As fine as wall clocks are: below that, floats round differently.
        wall = round(wall + pause, 2)
        moment = datetime.fromtimestamp(wall, ZoneInfo(zone))
        offset = moment.utcoffset()
        assert offset is not None
        assert scraper.offset(wall) == offset.total_seconds()


@given(st.sampled_from(ONE_ZONE_EACH), st.integers(0, 4_000_000_000), st.floats(0, 0.999))
@example("Europe/Berlin", int(SPRING) - 900, 0.0)
@example("Europe/Berlin", int(SPRING) - 901, 0.0)
@example("Europe/Berlin", int(SPRING) - 1, 0.999)
def test_an_offset_stays_for_as_long_as_promised(zone: str, second: int, part: float) -> None:
    info, wall = ZoneInfo(zone), second + part

    seconds = seconds_until_change(info, wall)

    assert 0 < seconds <= 900
    assert utc_offset(info, wall + seconds - 0.01) == utc_offset(info, second)
    # No shorter than necessary.
    assert seconds > 899 or utc_offset(info, round(wall + seconds)) != utc_offset(info, wall)


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "0.0"),
        ("Asia/Kolkata", "19800.0"),
        ("America/St_Johns", "-12600.0"),
        ("Pacific/Chatham", "49500.0"),
    ],
)
@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "OpenMetrics"])
def test_it_is_written_in_both_formats_after_the_newest_record(
    zone: str, shown: str, openmetrics: bool
) -> None:
    scraper = Scraper(zone, SPRING)
    now = scraper.now(instant("2026-01-15 12:00:00"))

    text = scraper.exposition.all_pbxs(
        [scraper.snapshot], now, openmetrics=openmetrics
    ).plain.decode()

    assert text.startswith(
        "# HELP cdr_utc_offset_seconds UTC offset of the PBX's timezone now.\n"
        "# TYPE cdr_utc_offset_seconds gauge\n"
        f'cdr_utc_offset_seconds{{pbx="hq"}} {shown}\n'
    )


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(Snapshot(pbx="hq"), id="before the first poll"),
        pytest.param(Snapshot(pbx="hq", attempted=True, failure="refused"), id="never answered"),
        pytest.param(Snapshot(pbx="hq", shown=True, fresh_until=500.0), id="silent for long"),
        pytest.param(Snapshot(pbx="hq", shown=True, fresh_until=1e9), id="at work"),
    ],
)
def test_the_offset_is_shown_in_every_state_of_the_pbx(snapshot: Snapshot) -> None:
    assert Scraper("Asia/Kolkata", SPRING, snapshot).offset(SPRING) == 19800


def test_pbxs_in_different_zones_have_their_own() -> None:
    zones = {"hq": ZoneInfo("Europe/Berlin"), "branch": ZoneInfo("America/New_York")}
    shots = [Snapshot(pbx="hq"), Snapshot(pbx="branch")]

    text = (
        Exposition(BOUNDS, "1.2.3", zones)
        .all_pbxs(shots, Now(SPRING, 1.0), openmetrics=False)
        .plain
    )

    assert b'cdr_utc_offset_seconds{pbx="hq"} 7200.0\n' in text
    assert b'cdr_utc_offset_seconds{pbx="branch"} -14400.0\n' in text


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_scrape_with_nothing_new_costs_nothing_for_a_quarter_of_an_hour(zone: str) -> None:
    scraper = Scraper(zone, SPRING)

    def kept(after: float) -> object:
        now = scraper.now(SPRING + after)
        scraper.exposition.one_pbx(scraper.snapshot, now, openmetrics=False)
        return scraper.exposition._pbxs[scraper.snapshot.pbx].rendered

    first = kept(0)

    assert kept(899) is first
    assert kept(900) is not first


def test_a_hold_that_ends_before_an_offset_changes_ends_in_time() -> None:
    records = {Series("cdr_records_total", ("ANSWERED", "Inbound", "sip")): (1,)}
    totals = Totals(records, dict.fromkeys(records, 0.0))
    scraper = Scraper(
        "UTC", SPRING, Snapshot(pbx="hq", totals=totals, shown=True, fresh_until=1_060.0)
    )

    def shows_calls(after: float) -> bool:
        now = scraper.now(SPRING + after)
        page = scraper.exposition.one_pbx(scraper.snapshot, now, openmetrics=False)
        return b"cdr_records_total{" in page.plain

    assert [shows_calls(seconds) for seconds in (0, 59, 60)] == [True, True, False]


def test_a_wall_clock_that_was_set_is_noticed_within_a_quarter_of_an_hour() -> None:
    scraper = Scraper("Europe/Berlin", SPRING)
    assert scraper.offset(SPRING) == 7200

    scraper.set_by = -30 * 24 * HOUR

    assert scraper.offset(SPRING + 900) == 3600


def test_a_pbx_is_in_the_zone_of_its_configuration(tmp_path: Path) -> None:
    settings = config.parse(FILE, "exporter.yml", tmp_path)

    assert {name: zone.key for name, zone in time_zones(settings).items()} == {
        "hq": "Asia/Kolkata",
        "branch": "UTC",
    }


def test_the_program_shows_the_offset_of_a_pbx_it_has_not_reached(tmp_path: Path) -> None:
    settings = config.parse(FILE, "exporter.yml", tmp_path)
    exporter = Exporter(settings, [ListenAddress("127.0.0.1", 0)], threading.Event())
    exporter.start()
    try:
        url = f"http://127.0.0.1:{exporter.addresses[0].port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        exporter.stop()

    assert 'cdr_utc_offset_seconds{pbx="hq"} 19800.0\n' in text
    assert 'cdr_utc_offset_seconds{pbx="branch"} 0.0\n' in text


FILE = """
pbxs:
  - {name: hq, base_url: http://127.0.0.1:9, client_id: x, client_secret: y, timezone: Asia/Kolkata}
  - {name: branch, base_url: http://127.0.0.1:9, client_id: b, client_secret: y}
"""
