"""Hours and days as a clock on the wall shows them, whatever the time zone does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr_exporter.metrics.quarters import KEPT_DAYS, QUARTER
from cdr_exporter.web.periods import DAYS, HOURS, last_days, last_hours

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Pacific/Chatham",
)


def at(zone: str, text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def hours(zone: str, text: str) -> dict[str, int]:
    """Return the quarters of each of the last hours by their label."""
    return {p.label: p.end - p.first for p in last_hours(at(zone, text), ZoneInfo(zone))}


def days(zone: str, text: str) -> dict[str, int]:
    """Return the quarters of each of the last days by their label."""
    return {p.label: p.end - p.first for p in last_days(at(zone, text), ZoneInfo(zone))}


def test_an_ordinary_day_has_these_hours_and_days() -> None:
    assert list(hours("Europe/Berlin", "2023-11-14 10:20")) == [
        *(f"{hour:02}:00" for hour in range(11, 24)),
        *(f"{hour:02}:00" for hour in range(11)),
    ]
    found = days("Europe/Berlin", "2023-11-14 10:20")
    assert [*found][:2] == ["Sun 15 Oct", "Mon 16 Oct"]
    assert [*found][-1] == "Tue 14 Nov"


def test_hours_begin_where_the_zone_says_not_where_utc_does() -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    now = at("Asia/Kathmandu", "2023-11-14 10:20")

    *_, running = last_hours(now, zone)

    assert datetime.fromtimestamp(running.first * QUARTER, UTC).strftime("%H:%M") == "04:15"
    assert running.label == "10:00"
    assert set(hours("Asia/Kathmandu", "2023-11-14 10:20").values()) == {4}


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        pytest.param(
            "Europe/Berlin",
            "2023-10-29 12:00",
            {"01:00": 4, "02:00 UTC+0200": 4, "02:00 UTC+0100": 4, "03:00": 4},
            id="Berlin, back",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2024-04-07 12:00",
            {"00:00": 4, "01:00 UTC+1100": 4, "01:30 UTC+1030": 2, "02:00": 4},
            id="Lord Howe, back by half an hour",
        ),
        pytest.param(
            "Europe/Berlin", "2024-03-31 12:00", {"01:00": 4, "03:00": 4}, id="Berlin, forward"
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2023-10-01 12:00",
            {"01:00": 4, "02:30": 2, "03:00": 4},
            id="Lord Howe, forward by half an hour",
        ),
    ],
)
def test_a_change_of_clocks_is_shown_as_it_was(
    zone: str, text: str, expected: dict[str, int]
) -> None:
    found = hours(zone, text)

    labels = [*found]
    first = labels.index(next(iter(expected)))
    assert {label: found[label] for label in labels[first : first + len(expected)]} == expected


@pytest.mark.parametrize(
    ("zone", "text", "day", "quarters"),
    [
        pytest.param("Europe/Berlin", "2023-11-02 12:00", "Sun 29 Oct", 100, id="Berlin, back"),
        pytest.param("Europe/Berlin", "2024-04-02 12:00", "Sun 31 Mar", 92, id="Berlin, forward"),
        pytest.param("Australia/Lord_Howe", "2024-04-09 12:00", "Sun 7 Apr", 98, id="Lord Howe"),
        pytest.param("Asia/Kathmandu", "2024-04-09 12:00", "Sun 7 Apr", 96, id="Kathmandu"),
        pytest.param("America/Havana", "2024-03-12 12:00", "Sun 10 Mar", 92, id="at midnight"),
        pytest.param("America/Havana", "2023-11-07 12:00", "Sun 5 Nov", 100, id="midnight twice"),
    ],
)
def test_a_day_is_as_long_as_it_was(zone: str, text: str, day: str, quarters: int) -> None:
    assert days(zone, text)[day] == quarters


@given(st.sampled_from(ZONES), st.integers(1_600_000_000, 1_900_000_000))
def test_periods_follow_one_another_and_the_running_one_is_the_last(name: str, now: int) -> None:
    zone = ZoneInfo(name)
    for periods, count in ((last_hours(now, zone), HOURS), (last_days(now, zone), DAYS)):
        assert len(periods) == count
        assert all(one.end == two.first for one, two in pairwise(periods))
        assert periods[-1].first <= now // QUARTER < periods[-1].end
        for period in periods:
            begins = datetime.fromtimestamp(period.first * QUARTER, zone)
            ends = datetime.fromtimestamp(period.end * QUARTER - 1, zone)
            assert begins.date() == ends.date()


@given(st.sampled_from(ZONES), st.integers(1_600_000_000, 1_900_000_000))
def test_what_is_kept_reaches_back_to_the_first_day_shown(name: str, now: int) -> None:
    oldest = datetime.fromtimestamp(now, UTC).date() - timedelta(KEPT_DAYS)
    first_day, *_ = last_days(now, ZoneInfo(name))

    assert datetime.fromtimestamp(first_day.first * QUARTER, UTC).date() >= oldest
