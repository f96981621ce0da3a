"""Until when history is written."""

from __future__ import annotations

import pytest

from cdr_exporter.errors import ConfigError
from cdr_exporter.history.seam import Seam, seam_of
from cdr_exporter.ingest import FirstShown
from cdr_exporter.store import Publication

NOW, HOUR, DAY = 1_700_000_000.0, 3_600.0, 86_400.0

NEVER = Publication(shown=False)
UNKNOWN = Publication(shown=True)


def shown(at: float, *, baseline: bool = False) -> Publication:
    return Publication(shown=True, first=FirstShown(at, baseline, at - 100))


@pytest.mark.parametrize(
    ("publication", "asked", "seam"),
    [
        pytest.param(NEVER, None, (NOW - 3 * HOUR, NOW - 3 * HOUR), id="never shown"),
        pytest.param(NEVER, NOW - DAY, (NOW - DAY, NOW - DAY), id="never shown, with an end"),
        pytest.param(shown(NOW - DAY), None, (NOW - DAY, NOW - DAY - 100), id="since yesterday"),
        pytest.param(
            shown(NOW - HOUR), None, (NOW - 3 * HOUR, NOW - 3 * HOUR), id="for an hour only"
        ),
        pytest.param(
            shown(NOW - DAY), NOW - 2 * DAY, (NOW - 2 * DAY, NOW - 2 * DAY), id="an earlier end"
        ),
        pytest.param(UNKNOWN, NOW - DAY, (NOW - DAY, NOW - DAY), id="unknown, with an end"),
    ],
)
def test_it_ends_before_the_first_sample_and_three_hours_ago(
    publication: Publication, asked: float | None, seam: tuple[float, float]
) -> None:
    assert seam_of("hq", publication, "now", NOW, asked) == Seam(*seam, baseline=False)


@pytest.mark.parametrize(
    ("publication", "end"),
    [
        pytest.param(shown(NOW - 60), NOW - 60, id="shown a minute ago"),
        pytest.param(shown(NOW - DAY), NOW - DAY, id="since yesterday"),
        pytest.param(NEVER, NOW - 3 * HOUR, id="never shown"),
    ],
)
def test_for_a_prometheus_that_has_not_started_it_goes_up_to_the_first_sample(
    publication: Publication, end: float
) -> None:
    assert seam_of("hq", publication, "now", NOW, None, new_prometheus=True).end == end


def test_where_the_state_does_not_know_since_when_it_was_shown_an_end_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"pbx hq: .*give --end"):
        seam_of("hq", UNKNOWN, "now", NOW, None)


@pytest.mark.parametrize(
    ("publication", "asked", "why"),
    [
        pytest.param(shown(NOW - DAY), NOW - DAY + 1, "has shown it", id="two sources"),
        pytest.param(NEVER, NOW - 3 * HOUR + 1, "still writing", id="too young"),
        pytest.param(shown(NOW - HOUR), NOW - 2 * HOUR, "still writing", id="too young, shown"),
        pytest.param(UNKNOWN, NOW, "still writing", id="too young, unknown"),
    ],
)
def test_an_end_that_is_too_late_is_refused(
    publication: Publication, asked: float, why: str
) -> None:
    with pytest.raises(ConfigError, match=rf"pbx hq: --end .*{why}"):
        seam_of("hq", publication, "now", NOW, asked)


@pytest.mark.parametrize(
    ("publication", "start", "baseline"),
    [
        pytest.param(NEVER, "all", True, id="it will begin with a baseline"),
        pytest.param(NEVER, "now", False, id="it will begin at 0"),
        pytest.param(shown(NOW - DAY, baseline=True), "now", True, id="it began with a baseline"),
        pytest.param(shown(NOW - DAY), "all", False, id="it began at 0"),
    ],
)
def test_how_the_exporter_began_is_what_its_state_says_or_else_its_setting(
    publication: Publication, start: str, baseline: bool
) -> None:
    assert seam_of("hq", publication, start, NOW, None).baseline is baseline
