"""The last hours and days of a PBX in its own time zone, as spans of quarters of an hour. Pure.

Rule: a period is what a clock on the wall there calls so. Where clocks are put back, the same hour
comes twice and stands twice; where they are put forward, an hour is missing. A day is as long as it
is. Time zones differ from UTC by quarters of an hour, so a quarter is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import NamedTuple

from ..metrics.quarters import QUARTER

HOURS, DAYS = 24, 31
"""How many of each are shown, the running one among them."""

_LOOK_BACK = (HOURS + 3) * 4
"""Quarters in which so many hours begin, with a change of clocks among them."""


class Period(NamedTuple):
    """An hour or a day, from the quarter *first* to before *end*; *day* is the date it lies on."""

    label: str
    day: str
    first: int
    end: int


def last_hours(now: float, zone: tzinfo) -> Sequence[Period]:
    """Return the last hours of *zone* at *now* (epoch seconds), the running one last."""
    quarter = int(now) // QUARTER
    # The running hour is whole: a PBX whose clock is ahead has calls in the rest of it.
    around = [_local(n, zone) for n in range(quarter - _LOOK_BACK, quarter + 4)]
    hours = [list(each) for _, each in groupby(around, key=_clock_hour)]
    until_now = [hour for hour in hours if hour[0].quarter <= quarter][-HOURS:]
    return [_hour(hour, until_now) for hour in until_now]


def last_days(now: float, zone: tzinfo) -> Sequence[Period]:
    """Return the last days of *zone* at *now* (epoch seconds), the running one last."""
    today = datetime.fromtimestamp(now, zone).date()
    dates = [today - timedelta(days) for days in range(DAYS - 1, -2, -1)]
    midnights = [_midnight(each, zone) for each in dates]
    return [
        Period(_date_text(each), _date_text(each), first, end)
        for each, first, end in zip(dates[:-1], midnights[:-1], midnights[1:], strict=True)
    ]


def clock_text(time: float, zone: tzinfo) -> str:
    """Return *time* (epoch seconds) as date and time of day in *zone*."""
    at = datetime.fromtimestamp(time, zone)
    return f"{_date_text(at.date())}, {at:%H:%M}"


class _Local(NamedTuple):
    quarter: int
    time: datetime


def _local(quarter: int, zone: tzinfo) -> _Local:
    return _Local(quarter, datetime.fromtimestamp(quarter * QUARTER, zone))


def _clock_hour(at: _Local) -> tuple[date, int, timedelta | None]:
    return at.time.date(), at.time.hour, at.time.utcoffset()


def _hour(hour: Sequence[_Local], all_hours: Sequence[Sequence[_Local]]) -> Period:
    begins = hour[0].time
    same = [each for each in all_hours if each[0].time.hour == begins.hour]
    twice = len({each[0].time.utcoffset() for each in same if _is_on(begins, each)}) > 1
    label = f"{begins:%H:%M}" + (f" {begins:UTC%z}" if twice else "")
    return Period(label, _date_text(begins.date()), hour[0].quarter, hour[-1].quarter + 1)


def _is_on(day: datetime, hour: Sequence[_Local]) -> bool:
    return hour[0].time.date() == day.date()


def _midnight(day: date, zone: tzinfo) -> int:
    # Where clocks are put forward at midnight, this is the moment at which they are.
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) // QUARTER


def _date_text(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"
