"""Until when history is written: never two sources in one series at one time. Pure.

Where both the live exporter and history wrote a sample of one series, Prometheus sees the value
fall and rise between any two of them, takes each fall for a restart, and adds it up: three days of
250 calls became 1,980,757.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ConfigError
from ..store import Publication

YOUNGEST_SECONDS = 3 * 3600
"""What is younger, Prometheus is still writing: it takes no block of it."""


class Seam(NamedTuple):
    """The past of one PBX: samples before *end*, of what ended before *settled_until*.

    Both are epoch seconds. With *baseline* the exporter begins with every row that the PBX had.
    Then history must not hold a row or call that the first sample has not: Prometheus would see
    the value fall, and count all of it once more. So what ended shortly before that sample is left
    to the values that the exporter began with. For the same reason history begins with what lies
    before it.
    """

    end: float
    settled_until: float
    baseline: bool


def seam_of(
    name: str,
    publication: Publication,
    start: str,
    now: float,
    asked: float | None,
    *,
    new_prometheus: bool = False,
) -> Seam:
    """Return the seam of the PBX *name*, where *publication* is what its state says.

    *start* is its setting, *asked* is `--end` (epoch seconds), None without it. With
    *new_prometheus* the one that gets the blocks has no data yet, and takes them up to the
    exporter's first sample. Raises `ConfigError` where `--end` is needed, or is too late.
    """
    first = publication.first
    if publication.shown and first is None and asked is None:
        raise ConfigError(
            f"pbx {name}: an exporter has shown it, and its state does not say since when; give "
            "--end, a time before the first sample that Prometheus has of it"
        )
    latest = now - YOUNGEST_SECONDS
    if first is not None and (new_prometheus or first.at < latest):
        latest = first.at
        _check(name, asked, latest, "the exporter has shown it since then")
    else:
        _check(name, asked, latest, "Prometheus is still writing what is younger than three hours")
    end = latest if asked is None else asked
    if first is None:
        return Seam(end, end, start == "all")
    return Seam(end, min(end, first.settled_until), first.baseline)


def _check(name: str, asked: float | None, latest: float, why: str) -> None:
    if asked is not None and asked > latest:
        raise ConfigError(f"pbx {name}: --end is later than {latest:.0f} (epoch seconds): {why}")
