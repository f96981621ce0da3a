"""A block as OpenMetrics text: the lines of `/metrics`, each with labels of a target and a time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from cdr_exporter.clock import Now
from cdr_exporter.exposition import Exposition
from cdr_exporter.history.counting import Changes
from cdr_exporter.history.text import PBXBlock, block_text, target_labels, with_gauges
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, Totals

from ..support.rows import BOUNDS

TIMES = range(1_698_537_600, 1_698_544_800, 300)
"""Two hours of the night in which Berlin's clocks were put back, at 1_698_541_200."""

RECORDS = Series("cdr_records_total", ("ANSWERED", "Inbound", 'a{b}"c\\'))
TALK = Series("cdr_call_talk_seconds", ("Inbound", "sip"))
VALUE = (1, *(0,) * 14, 2)

CHANGES: Changes = {
    RECORDS: [(TIMES[0], (0,)), (TIMES[2], (3,))],
    TALK: [(TIMES[1], (0,) * 16), (TIMES[3], VALUE)],
}


def text(changes: Changes = CHANGES, **labels: str) -> str:
    runs = with_gauges(changes, TIMES, ZoneInfo("Europe/Berlin"))
    block = PBXBlock("hq", target_labels(labels), TIMES, runs)
    return b"".join(block_text([block], BOUNDS)).decode()


def samples(name: str, found: str) -> dict[int, float]:
    """Return the values of the one series *name* by their times."""
    lines = [line.rsplit(" ", 2) for line in found.splitlines() if line.startswith(name + "{")]
    return {int(time): float(value) for _, value, time in lines}


def test_a_line_is_that_of_metrics_with_the_labels_of_the_target_and_the_time() -> None:
    shown = Snapshot(
        pbx="hq", totals=Totals({RECORDS: (3,), TALK: VALUE}, {}), shown=True, fresh_until=9.0
    )
    page = Exposition(BOUNDS, "1").one_pbx(shown, Now(0.0, 0.0), openmetrics=False).plain.decode()
    live = [line for line in page.splitlines() if not line.startswith("#")]
    ours = text(job="a", instance='b"c').splitlines()
    labels = r'instance="b\"c",job="a",'

    assert len(live) == 18
    for line in live:
        assert f"{line.replace('{', '{' + labels, 1)} {TIMES[3]}" in ours


def test_each_series_has_its_value_at_each_time_from_its_birth_on() -> None:
    found = text()

    assert samples("cdr_records_total", found) == {t: 3 if t >= TIMES[2] else 0 for t in TIMES}
    assert samples("cdr_call_talk_seconds_count", found) == {
        t: 1 if t >= TIMES[3] else 0 for t in TIMES[1:]
    }


def test_beside_them_the_pbx_is_up_and_its_offset_changes_with_its_clocks() -> None:
    found = text({})

    assert samples("cdr_up", found) == dict.fromkeys(TIMES, 1)
    assert samples("cdr_utc_offset_seconds", found) == {
        t: 3600 if t >= 1_698_541_200 else 7200 for t in TIMES
    }


def test_a_hidden_family_is_left_out_and_nothing_else() -> None:
    runs = with_gauges(CHANGES, TIMES, ZoneInfo("Europe/Berlin"))
    block = PBXBlock("hq", target_labels({}), TIMES, runs)
    rest = b"".join(block_text([block], BOUNDS, {"cdr_call_talk_seconds"})).decode()

    assert rest.splitlines() == [
        line for line in text().splitlines() if "cdr_call_talk_seconds" not in line
    ]


def test_the_pbxs_of_a_block_stand_together_by_family() -> None:
    zone = ZoneInfo("UTC")
    pbxs = [
        PBXBlock(name, target_labels({"instance": name}), TIMES, with_gauges(CHANGES, TIMES, zone))
        for name in ("hq", "branch")
    ]
    found = b"".join(block_text(pbxs, BOUNDS)).decode()

    assert found.count("# TYPE cdr_records counter\n") == 1
    assert found.count("cdr_records_total{") == 2 * len(TIMES)
    assert found.endswith("# EOF\n")
    assert found.count("# EOF") == 1
