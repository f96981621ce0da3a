from __future__ import annotations

import gzip
import platform
import re
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from cdr_exporter.calls import CallRules, assemble_call, group_calls
from cdr_exporter.clock import Now
from cdr_exporter.exposition import Body, Exposition, ProcessValues
from cdr_exporter.metrics.call_metrics import count_calls, number_zeros
from cdr_exporter.metrics.catalogue import (
    BUILD_INFO,
    CLOCK_OFFSET,
    DATABASE_UP,
    FAMILIES,
    INGEST_DELAY,
    LEASE_CHANGES,
    LEASES,
    PBX_RECORDS,
    RELOAD_SUCCESS_TIMESTAMP,
    RELOAD_SUCCESSFUL,
    TRAFFIC_FAMILIES,
    UP,
)
from cdr_exporter.metrics.row_metrics import PageCount, group_by_labels
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Bounds, Series, Totals, Value, initial_totals

from ..support.call_traces import legs
from ..support.programs import require
from ..support.prometheus_client_text import both_formats, text_of_prometheus_client
from ..support.rows import BOUNDS, flawed, record

NOW = Now(wall=50_000.0, steady=1_000.0)
SIP = ("ANSWERED", "Inbound", "sip")
GSM = ("BUSY", "Outbound", "gsm")
RECORDS, DURATION = "cdr_records_total", "cdr_duration_seconds"


def snapshot(
    pbx: str = "hq",
    series: Mapping[Series, Value] | None = None,
    *,
    born: float = 0.0,
    **fields: Any,
) -> Snapshot:
    """Return a snapshot that shows its calls for five minutes from NOW on."""
    totals = Totals(series or {}, dict.fromkeys(series or {}, born))
    usual = {"shown": True, "fresh_until": NOW.steady + 300, "birth_hold": 120.0}
    return Snapshot(pbx=pbx, totals=totals, **{**usual, **fields})


NUMBERS = CallRules(
    dids={"1": "sales"}, queues={"6400": "support"}, destinations={"premium": ("0900",)}
)
CALLS = [
    assemble_call(legs(trace, NUMBERS))
    for trace in (
        """
        0  IVR Main<6200>  ANSWERED   0  4   in  gsm  did=1
        4  Queue Q<6400>   ANSWERED   5  60  in  gsm
        4  Ada<2001>       ANSWERED   5  60  in  gsm
        """,
        "0  Queue Q<6400>  NO ANSWER  9  0   in  gsm",
        "0  Ada<2001>      NO ANSWER  7  0   in  gsm",
        "0  0900123        ANSWERED   5  60  out  gsm",
    )
]


def full_snapshot(pbx: str = "hq", **fields: Any) -> Snapshot:
    """Return what a poller publishes after a page with rows of every kind."""
    count = PageCount(BOUNDS, frozenset({"none"}), 2)
    rows = [
        flawed(1, "reason"),
        record(2, duration=100_000, src_trunk="gsm", disposition="?"),
        record(3, src_trunk="too many"),
        record(4, src_trunk="", disposition="NO ANSWER", ring_duration=20),
    ]
    count.add_rows(group_by_labels(rows))
    series = {**count.series(), **count_calls(group_calls(CALLS), BOUNDS, count.trunks)}
    totals = initial_totals(number_zeros=number_zeros(NUMBERS)).merged(series, count.trunks, 0.0)
    self_metrics = SelfMetrics(BOUNDS)
    self_metrics.observe(INGEST_DELAY, [3, 4_000_000])
    self_metrics.set(UP, 1)
    self_metrics.set(PBX_RECORDS, 2579)
    self_metrics.set(CLOCK_OFFSET, -3600.5)
    usual = {
        "own": self_metrics.own,
        "gauges": self_metrics.gauges,
        "shown": True,
        "fresh_until": 1_300.0,
    }
    return Snapshot(pbx=pbx, totals=totals, **{**usual, **fields})


def exposition(bounds: Bounds = BOUNDS) -> Exposition:
    return Exposition(bounds, "1.2.3")


def lines(body: Body) -> list[str]:
    return [line for line in body.plain.decode().splitlines() if not line.startswith("#")]


def samples(body: Body) -> dict[str, str]:
    """Return the number at the end of each line, by the text before it."""
    pairs = (line.rsplit(" ", 1) for line in lines(body))
    return {name: value for name, value in pairs}  # noqa: C416 - pairs of lists


def one(of: Snapshot, now: Now = NOW, by: Exposition | None = None) -> dict[str, str]:
    return samples((by or exposition()).one_pbx(of, now, openmetrics=False))


def counter(*labels: str, pbx: str = "hq") -> str:
    disposition, call_type, trunk = labels
    inner = f'call_type="{call_type}",disposition="{disposition}",pbx="{pbx}",trunk="{trunk}"'
    return f"{RECORDS}{{{inner}}}"


# --- prometheus_client as the judge --------------------------------------------------------------


HOSTILE = [
    "new\nline",
    'quo"te',
    "back\\slash",
    "\\n",
    '\\"',
    "",
    " ",
    "é日本\N{GRINNING FACE}",
    "{}",
]
LARGE = [0, 1, 999_999, 1_000_000, 10**7 + 1, 2**53, 2**63 - 1, 10**18]


@pytest.mark.parametrize(
    "shot",
    [
        pytest.param(snapshot(), id="nothing"),
        pytest.param(full_snapshot(), id="everything"),
        pytest.param(
            snapshot(series={Series(RECORDS, (*SIP[:2], name)): (1,) for name in HOSTILE}),
            id="hostile trunks",
        ),
        pytest.param(
            snapshot(series={Series(RECORDS, (*SIP[:2], str(n))): (n,) for n in LARGE}),
            id="large counts",
        ),
        pytest.param(
            snapshot(gauges={Series(PBX_RECORDS.name): 1e300, Series(UP.name): 0.1 + 0.2}),
            id="odd gauges",
        ),
    ],
)
@both_formats
def test_one_pbx_is_written_as_prometheus_client_would(openmetrics: bool, shot: Snapshot) -> None:
    body = exposition().one_pbx(shot, NOW, openmetrics=openmetrics)

    assert body.plain == text_of_prometheus_client([shot], openmetrics)


@both_formats
def test_all_pbxs_are_written_as_prometheus_client_would(openmetrics: bool) -> None:
    shots = [full_snapshot("hq"), full_snapshot("Branch.2"), snapshot("silent")]
    body = exposition().all_pbxs(shots, NOW, openmetrics=openmetrics)

    text = body.plain.decode()
    build_info = f"# HELP {BUILD_INFO.name} .*\n# TYPE {BUILD_INFO.name} gauge\n.*\n"
    assert len(re.findall(build_info, text)) == 1
    without_build_info = re.sub(build_info, "", text)
    assert without_build_info.startswith(
        text_of_prometheus_client(shots, openmetrics).decode().removesuffix("# EOF\n")
    )


@both_formats
@pytest.mark.parametrize("name", ["hq", None], ids=["one PBX", "all PBXs"])
def test_a_hidden_family_is_left_out_and_nothing_else(openmetrics: bool, name: str | None) -> None:
    hidden = [family.name for family in TRAFFIC_FAMILIES[1:]]

    def page(by: Exposition, now: Now = NOW) -> list[str]:
        shot = full_snapshot()
        body = (
            by.one_pbx(shot, now, openmetrics=openmetrics)
            if name
            else by.all_pbxs([shot], now, openmetrics=openmetrics)
        )
        # What is about this process changes from scrape to scrape.
        return [line for line in body.plain.decode().splitlines() if "process_" not in line]

    def is_hidden(line: str) -> bool:
        metric = re.sub("^# (HELP|TYPE) ", "", line)
        return any(metric.startswith(each.removesuffix("_total")) for each in hidden)

    whole, rest = page(exposition()), page(Exposition(BOUNDS, "1.2.3", hidden=hidden))

    assert rest == [line for line in whole if not is_hidden(line)]
    assert {each for each in hidden if not any(map(is_hidden, whole))} == set()
    silent = Now(NOW.wall + 400, NOW.steady + 400)
    assert page(Exposition(BOUNDS, "1.2.3", hidden=hidden), silent) == page(exposition(), silent)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, 2**62)
bounds_of_three = st.lists(st.integers(1, 10**7), min_size=3, max_size=3, unique=True).map(sorted)


@given(
    st.dictionaries(st.tuples(texts, texts, texts), counts, max_size=4),
    st.dictionaries(st.tuples(texts, texts, texts), st.tuples(*[counts] * 5), max_size=4),
    bounds_of_three,
)
def test_any_labels_and_values_are_written_as_prometheus_client_would(
    counters: dict[tuple[str, ...], int],
    histograms: dict[tuple[str, ...], Value],
    edges: list[int],
) -> None:
    bounds = {**dict.fromkeys(BOUNDS, (1,)), "duration": tuple(edges)}
    shot = snapshot(
        series={
            **{Series(RECORDS, labels): (count,) for labels, count in counters.items()},
            **{Series(DURATION, labels): value for labels, value in histograms.items()},
        }
    )
    ours = exposition(bounds)

    for openmetrics in (False, True):
        body = ours.one_pbx(shot, NOW, openmetrics=openmetrics)

        assert body.plain == text_of_prometheus_client([shot], openmetrics, bounds)


def parsed(text: str, openmetrics: bool) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = (parse_openmetrics if openmetrics else parse_text)(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@both_formats
def test_prometheus_clients_parser_reads_what_was_put_in(openmetrics: bool) -> None:
    shots = [full_snapshot("hq"), full_snapshot("Branch.2")]
    text = exposition().all_pbxs(shots, NOW, openmetrics=openmetrics).plain.decode()
    read = parsed(text, openmetrics)

    labels = {"disposition": "ANSWERED", "call_type": "Inbound", "trunk": "sip", "pbx": "hq"}
    assert read[RECORDS, frozenset(labels.items())] == 1
    assert read[f"{DURATION}_sum", frozenset(labels.items())] == 60
    assert read[f"{DURATION}_bucket", frozenset({**labels, "le": "60.0"}.items())] == 1
    assert read[f"{DURATION}_bucket", frozenset({**labels, "le": "30.0"}.items())] == 0
    assert read["cdr_pbx_records", frozenset({("pbx", "Branch.2")})] == 2579
    assert read["cdr_exporter_build_info", frozenset(build_labels(text))] == 1
    assert len(read) == sum(not line.startswith("#") for line in text.splitlines())


def test_the_build_is_told_by_version_commit_and_python() -> None:
    page = Exposition(BOUNDS, "1.2.3", revision="0a1b2c").all_pbxs([], NOW, openmetrics=False)

    assert dict(build_labels(page.plain.decode())) == {
        "version": "1.2.3",
        "revision": "0a1b2c",
        "python": platform.python_version(),
    }


def build_labels(text: str) -> list[tuple[str, str]]:
    [inner] = re.findall(r"cdr_exporter_build_info\{(.*)\}", text)
    return re.findall(r'(\w+)="([^"]*)"', inner)


@pytest.mark.fault("C11")
@given(st.lists(texts.filter(bool), unique=True, max_size=5))
def test_the_parsers_read_hostile_labels_back(names: list[str]) -> None:
    shot = snapshot(series={Series(RECORDS, (*SIP[:2], name)): (1,) for name in names})

    for openmetrics in (False, True):
        text = exposition().one_pbx(shot, NOW, openmetrics=openmetrics).plain.decode()

        assert {dict(labels)["trunk"] for _, labels in parsed(text, openmetrics)} == set(names)


@pytest.mark.e2e
def test_promtool_finds_no_fault_in_the_text() -> None:
    promtool = require("promtool")
    shots = [full_snapshot("hq"), full_snapshot("Branch.2")]
    text = exposition().all_pbxs(shots, NOW, openmetrics=False).plain

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@both_formats
def test_every_family_in_the_text_is_announced_once(openmetrics: bool) -> None:
    shots = [full_snapshot("hq"), full_snapshot("Branch.2")]
    zones = {"hq": ZoneInfo("UTC"), "Branch.2": ZoneInfo("UTC")}
    process: ProcessValues = {
        RELOAD_SUCCESSFUL: 1.0,
        RELOAD_SUCCESS_TIMESTAMP: 7.0,
        LEASES: 2.0,
        LEASE_CHANGES: {"first": 2.0, "lost": 1.0},
        DATABASE_UP: 1.0,
    }
    ours_in_utc = Exposition(BOUNDS, "1.2.3", zones, process=lambda: process)
    text = ours_in_utc.all_pbxs(shots, NOW, openmetrics=openmetrics).plain.decode()

    helped = re.findall("^# HELP (\\S+)", text, re.MULTILINE)
    typed = re.findall("^# TYPE (\\S+)", text, re.MULTILINE)
    names = [f.name.removesuffix("_total") if openmetrics else f.name for f in FAMILIES]
    ours = [name for name in names if name in set(helped)]
    assert helped == typed
    assert set(Counter(helped).values()) == {1}
    of_process = {family.name.removesuffix("_total" * openmetrics) for family in process}
    of_pbxs = [name for name in ours if name not in of_process]
    assert helped[: len(of_pbxs)] == of_pbxs
    assert 'cdr_exporter_lease_changes_total{reason="lost"} 1.0\n' in text
    assert len(ours) == len(FAMILIES) - 1  # all but the newest call, which is not known


@both_formats
def test_no_created_timestamps_are_written(openmetrics: bool) -> None:
    text = exposition().all_pbxs([full_snapshot()], NOW, openmetrics=openmetrics).plain

    assert b"_created" not in text


def test_bounds_read_as_prometheus_client_writes_them() -> None:
    series = {Series("cdr_ring_duration_seconds", SIP): (1,) * (len(BOUNDS["ring"]) + 2)}
    found = [re.findall('le="(.*?)"', name) for name in one(snapshot(series=series))]

    edges = [edge for each in found for edge in each]
    assert " ".join(edges) == "1.0 2.0 5.0 10.0 15.0 20.0 30.0 45.0 60.0 120.0 +Inf"


GOLDEN = """\
# HELP cdr_records_total CDR rows by disposition, call_type and trunk; a row is one leg of a call.
# TYPE cdr_records_total counter
cdr_records_total{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 7.0
cdr_records_total{call_type="Outbound",disposition="BUSY",pbx="hq",trunk="gsm"} 1.234567e+06
# HELP cdr_duration_seconds Field duration of every CDR row: from the start to the end of the leg.
# TYPE cdr_duration_seconds histogram
cdr_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="5.0",pbx="hq",trunk="sip"} 1.0
cdr_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="20.0",pbx="hq",trunk="sip"} 5.0
cdr_duration_seconds_bucket{call_type="Inbound",disposition="ANSWERED",le="+Inf",pbx="hq",trunk="sip"} 7.0
cdr_duration_seconds_count{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 7.0
cdr_duration_seconds_sum{call_type="Inbound",disposition="ANSWERED",pbx="hq",trunk="sip"} 190.0
# HELP cdr_up 1 when the last poll of the PBX succeeded; 0 before the first.
# TYPE cdr_up gauge
cdr_up{pbx="hq"} 1.0
# HELP cdr_exporter_polls_total Polls of the PBX that were begun.
# TYPE cdr_exporter_polls_total counter
cdr_exporter_polls_total{pbx="hq"} 3.0
"""  # noqa: E501 - as it is sent


def golden_snapshot() -> Snapshot:
    return snapshot(
        series={
            Series(RECORDS, GSM): (1_234_567,),
            Series(DURATION, SIP): (1, 4, 2, 190),
            Series(RECORDS, SIP): (7,),
        },
        own={Series("cdr_exporter_polls_total"): (3,)},
        gauges={Series(UP.name): 1.0},
    )


def test_the_text_of_a_small_pbx() -> None:
    bounds = {**dict.fromkeys(BOUNDS, (1,)), "duration": (5, 20)}

    body = exposition(bounds).one_pbx(golden_snapshot(), NOW, openmetrics=False)

    assert body.plain.decode() == GOLDEN


# --- one and all ---------------------------------------------------------------------------------


def test_one_pbx_comes_without_the_others_and_without_the_process() -> None:
    ours = exposition()
    shots = [full_snapshot("hq"), full_snapshot("branch")]
    ours.all_pbxs(shots, NOW, openmetrics=False)

    text = ours.one_pbx(shots[1], NOW, openmetrics=False).plain

    assert b'pbx="branch"' in text
    assert b'pbx="hq"' not in text
    assert not re.search(b"process_|python_|build_info", text)


def test_all_pbxs_come_with_the_process() -> None:
    text = exposition().all_pbxs(
        [full_snapshot("hq"), full_snapshot("branch")], NOW, openmetrics=False
    )

    found = samples(text)
    assert {'cdr_up{pbx="hq"}', 'cdr_up{pbx="branch"}'} <= found.keys()
    assert any(name.startswith("python_info{") for name in found)
    assert float(found["process_start_time_seconds"]) > 0


def test_no_pbx_at_all_is_the_process_alone() -> None:
    found = samples(exposition().all_pbxs([], NOW, openmetrics=False))

    assert not any(name.startswith("cdr_") for name in found if "build_info" not in name)
    assert any("build_info" in name for name in found)


def test_a_pbx_more_or_less_is_seen_at_once() -> None:
    ours = exposition()

    def pbxs(*shots: Snapshot) -> set[str]:
        text = ours.all_pbxs(shots, NOW, openmetrics=False).plain.decode()
        return set(re.findall('cdr_up{pbx="(.*?)"}', text))

    hq, branch = full_snapshot("hq"), full_snapshot("branch")
    found = [pbxs(), pbxs(hq), pbxs(hq, branch), pbxs(hq)]

    assert found == [set(), {"hq"}, {"hq", "branch"}, {"hq"}]


# --- what changes by the clock -------------------------------------------------------------------


def at(seconds: float, wall: float | None = None) -> Now:
    """Return the instant *seconds* after NOW, by both clocks or another *wall*."""
    return Now(NOW.wall + (seconds if wall is None else wall), NOW.steady + seconds)


@pytest.mark.fault("B1")
@pytest.mark.parametrize("before", [True, False], ids=["seen before", "first scrape"])
def test_calls_of_a_silent_pbx_are_hidden_by_the_clock_alone(before: bool) -> None:
    ours, shot = exposition(), full_snapshot()
    if before:
        assert RECORDS in str(one(shot, at(299.9), by=ours))

    hidden = one(shot, at(300), by=ours)

    calls = [name for name in hidden if not name.startswith(("cdr_exporter_", "cdr_up", "cdr_pbx"))]
    assert calls == []
    assert hidden['cdr_up{pbx="hq"}'] == "1.0"
    assert hidden['cdr_pbx_records{pbx="hq"}'] == "2579.0"
    assert hidden['cdr_exporter_rejected_fields_total{field="reason",pbx="hq"}'] == "1.0"


def test_calls_that_are_not_yet_shown_are_hidden() -> None:
    assert RECORDS not in str(one(full_snapshot(shown=False)))


def test_calls_come_back_with_the_next_valid_page() -> None:
    ours, shot = exposition(), full_snapshot()
    seen = one(shot, NOW, by=ours)
    one(shot, at(400), by=ours)

    back = one(replace(shot, fresh_until=NOW.steady + 700), at(401), by=ours)

    assert back == seen


def test_one_silent_pbx_hides_nothing_of_another() -> None:
    silent, fresh = full_snapshot("silent", fresh_until=0.0), full_snapshot("fresh")

    text = exposition().all_pbxs([silent, fresh], NOW, openmetrics=False).plain.decode()

    assert set(re.findall(f'{RECORDS}.*pbx="(.*?)"', text)) == {"fresh"}


BORN = {Series(RECORDS, SIP): (5,), Series(DURATION, SIP): (1,) * (len(BOUNDS["duration"]) + 2)}


def test_a_new_label_set_stands_at_0_and_then_at_its_value_by_the_clock_alone() -> None:
    ours, shot = exposition(), snapshot(series=BORN, born=NOW.wall)

    first, last, after = (one(shot, at(s), by=ours) for s in (0, 119.9, 120))

    assert first.keys() == last.keys() == after.keys()
    assert set(first.values()) == set(last.values()) == {"0.0"}
    assert after[counter(*SIP)] == "5.0"
    assert "0.0" not in after.values()


def test_births_of_different_times_end_one_by_one() -> None:
    later, earlier = Series(RECORDS, SIP), Series(RECORDS, GSM)
    totals = Totals({later: (1,), earlier: (2,)}, {later: NOW.wall, earlier: NOW.wall - 60})
    ours, shot = exposition(), replace(snapshot(), totals=totals)

    found = [one(shot, at(seconds), by=ours) for seconds in (0, 60, 120)]

    assert [(f[counter(*GSM)], f[counter(*SIP)]) for f in found] == [
        ("0.0", "0.0"),
        ("2.0", "0.0"),
        ("2.0", "1.0"),
    ]


def test_a_held_label_set_that_grows_stays_at_0() -> None:
    ours = exposition()
    one(snapshot(series={Series(RECORDS, SIP): (1,)}, born=NOW.wall), NOW, by=ours)
    grown = snapshot(series={Series(RECORDS, SIP): (9,)}, born=NOW.wall)

    assert one(grown, at(60), by=ours)[counter(*SIP)] == "0.0"
    assert one(grown, at(120), by=ours)[counter(*SIP)] == "9.0"


@pytest.mark.parametrize(
    "walls",
    [
        pytest.param([130, 50], id="set back into the hold"),
        pytest.param([-30, 10], id="set back to before the birth, and there again"),
        pytest.param([130, -200, 10], id="set back far"),
    ],
)
def test_a_count_that_was_seen_is_not_taken_back_when_the_clock_is_set_back(
    walls: list[float],
) -> None:
    ours = exposition()
    seen = []
    for number, wall in enumerate(walls):
        shot = snapshot(series=BORN, born=NOW.wall)
        seen.append(one(shot, at(200 + number, wall), by=ours)[counter(*SIP)])

    assert seen == ["5.0"] * len(walls)


# --- what is rendered anew -----------------------------------------------------------------------


class WriteRecorder:
    """An exposition whose writers note which series they write."""

    def __init__(self) -> None:
        self.exposition = exposition()
        self._series: list[tuple[str, Series]] = []
        for each in self.exposition._writers.values():
            each._write = self._recording(each._write)

    def _recording(self, write: Any) -> Any:
        def recorded(pbx: str, series: Series, value: Sequence[float]) -> bytes:
            self._series.append((pbx, series))
            text = write(pbx, series, value)
            assert isinstance(text, bytes)
            return text

        return recorded

    def new_writes(self) -> list[tuple[str, Series]]:
        recorded, self._series[:] = self._series[:], []
        return recorded


def grown(shot: Snapshot, *changes: Series) -> Snapshot:
    """Return *shot* with one row more, as a poller publishes it."""
    counted = {key: tuple(1 for _ in shot.totals.series[key]) for key in changes}
    totals = shot.totals.merged(counted, shot.totals.trunks, 0.0)
    return replace(shot, totals=totals)


def test_a_second_scrape_writes_nothing() -> None:
    recorder, shot = WriteRecorder(), full_snapshot()
    first = recorder.exposition.all_pbxs([shot], NOW, openmetrics=False)
    assert len(recorder.new_writes()) == len(series_of(shot))

    again = recorder.exposition.all_pbxs([shot], at(10), openmetrics=False)
    other = recorder.exposition.all_pbxs([shot], at(20), openmetrics=True)
    alone = recorder.exposition.one_pbx(shot, at(30), openmetrics=False)

    assert recorder.new_writes() == []
    assert all(a is b for a, b in zip(again._shared, first._shared, strict=True))
    assert other.plain
    assert alone.plain


def series_of(shot: Snapshot) -> set[Series]:
    return {*shot.totals.series, *shot.own, *shot.gauges}


def test_a_new_snapshot_without_news_writes_nothing() -> None:
    recorder, shot = WriteRecorder(), full_snapshot()
    recorder.exposition.all_pbxs([shot], NOW, openmetrics=False)
    recorder.new_writes()

    same = replace(shot, own=dict(shot.own), gauges=dict(shot.gauges))
    recorder.exposition.all_pbxs([same], at(10), openmetrics=False)

    assert recorder.new_writes() == []


def test_a_small_change_writes_the_lines_of_its_label_set_only() -> None:
    recorder, shots = WriteRecorder(), [full_snapshot("hq"), full_snapshot("branch")]
    recorder.exposition.all_pbxs(shots, NOW, openmetrics=False)
    recorder.new_writes()

    changed = {Series(RECORDS, SIP), Series(DURATION, SIP)}
    after = [shots[0], grown(shots[1], *changed)]
    text = recorder.exposition.all_pbxs(after, at(10), openmetrics=False)
    recorded = recorder.new_writes()
    openmetrics = recorder.exposition.all_pbxs(after, at(10), openmetrics=True)

    assert set(recorded) == {("branch", series) for series in changed}
    assert recorder.new_writes() == []
    for body in (text, openmetrics):
        assert samples(body)[counter(*SIP, pbx="branch")] == "2.0"
        assert samples(body)[counter(*SIP)] == "1.0"


def test_the_end_of_a_hold_writes_the_lines_that_were_held_only() -> None:
    old, young = Series(RECORDS, GSM), Series(RECORDS, SIP)
    totals = Totals({old: (2,), young: (1,)}, {old: 0.0, young: NOW.wall})
    recorder, shot = WriteRecorder(), replace(snapshot(), totals=totals)
    recorder.exposition.one_pbx(shot, NOW, openmetrics=False)
    recorder.new_writes()

    recorder.exposition.one_pbx(shot, at(120), openmetrics=False)

    assert set(recorder.new_writes()) == {("hq", young)}


def test_series_that_are_gone_vanish() -> None:
    ours = exposition()
    two = {Series(RECORDS, SIP): (1,), Series(RECORDS, GSM): (1,)}
    less = {Series(RECORDS, GSM): (1,)}

    found = [one(snapshot(series=series), by=ours).keys() for series in (two, less, {}, two, less)]

    assert found == [
        {counter(*SIP), counter(*GSM)},
        {counter(*GSM)},
        set(),
        {counter(*SIP), counter(*GSM)},
        {counter(*GSM)},
    ]


def test_a_body_that_was_handed_out_does_not_change() -> None:
    ours = exposition()
    body = ours.one_pbx(snapshot(series={Series(RECORDS, SIP): (1,)}), NOW, openmetrics=False)
    before = body.plain
    ours.one_pbx(snapshot(series={Series(RECORDS, SIP): (2,)}), NOW, openmetrics=False)

    assert body.plain == before


def test_a_text_is_put_together_part_by_part_as_it_is_asked_for() -> None:
    shots = [full_snapshot(str(n)) for n in range(50)]
    body = exposition().all_pbxs(shots, NOW, openmetrics=False)
    parts = body.plain_parts()

    assert iter(parts) is parts
    assert 0 < len(next(parts)) < body.length / 2
    assert body.length == len(body.plain)


# --- gzip ----------------------------------------------------------------------------------------


@both_formats
@pytest.mark.parametrize(
    "shots",
    [
        pytest.param([], id="no PBX"),
        pytest.param([full_snapshot()], id="one PBX"),
        pytest.param([full_snapshot(str(n)) for n in range(50)], id="fifty PBXes"),
    ],
)
def test_the_compressed_body_is_one_gzip_member_of_the_same_text(
    shots: list[Snapshot], openmetrics: bool
) -> None:
    body = exposition().all_pbxs(shots, NOW, openmetrics=openmetrics)

    compressed, again = body.gzipped, body.gzipped

    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert reader.decompress(compressed) == body.plain
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert gzip.decompress(compressed) == body.plain
    assert again == compressed


def test_a_body_without_lines_of_its_own_is_compressed_too() -> None:
    body = exposition().one_pbx(full_snapshot(), NOW, openmetrics=False)

    assert gzip.decompress(body.gzipped) == body.plain


# --- many at a time ------------------------------------------------------------------------------


def numbered(pbx: str, number: int) -> Snapshot:
    """Return a snapshot whose every value is *number*, so that half a page would show."""
    trunks = [f"trunk {n}" for n in range(40)]
    return snapshot(
        pbx,
        {Series(RECORDS, ("ANSWERED", "Inbound", trunk)): (number,) for trunk in trunks},
        own={Series("cdr_exporter_polls_total"): (number,)},
        gauges={Series(UP.name): float(number)},
    )


@pytest.mark.fault("F7")
def test_scrapes_while_snapshots_are_replaced_see_whole_pages() -> None:
    ours = exposition()
    newest = {"hq": numbered("hq", 0), "branch": numbered("branch", 0)}

    def scrape(openmetrics: bool) -> list[dict[str, set[str]]]:
        pages = []
        for _ in range(15):
            body = ours.all_pbxs(tuple(newest.values()), NOW, openmetrics=openmetrics)
            text = gzip.decompress(body.gzipped).decode()
            found: dict[str, set[str]] = {}
            for pbx, value in re.findall(r'^cdr_.*pbx="(\w+)".* (\S+)$', text, re.MULTILINE):
                found.setdefault(pbx, set()).add(value)
            pages.append(found)
        return pages

    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(scrape, n % 2 == 0) for n in range(8)]
        number = 0
        while not all(each.done() for each in scrapes):
            number += 1
            for pbx in newest:
                newest[pbx] = numbered(pbx, number)

    pages = [page for each in scrapes for page in each.result()]
    assert len(pages) == 120
    assert all(page.keys() == {"hq", "branch"} for page in pages)
    assert all(len(values) == 1 for page in pages for values in page.values())
    assert len({value for page in pages for value in page["hq"]}) > 1
    last = one(newest["hq"], by=ours)
    assert set(last.values()) == {f"{number}.0"}


@contextmanager
def slow_rendering(ours: Exposition) -> Iterator[threading.Event]:
    """Let the PBX hq be rendered no further than to the end of the block, or to the event."""
    entered, leave = threading.Event(), threading.Event()
    write = ours._writers["cdr_up"]._write

    def slow(pbx: str, series: Series, value: Sequence[float]) -> bytes:
        entered.set()
        leave.wait(30)
        return write(pbx, series, value)

    ours._writers["cdr_up"]._write = slow
    with ThreadPoolExecutor(1) as pool:
        rendering = pool.submit(ours.one_pbx, numbered("hq", 2), NOW, openmetrics=False)
        try:
            assert entered.wait(30)
            yield leave
        finally:
            leave.set()
        rendering.result(30)


@pytest.mark.fault("F1")
def test_a_scrape_during_a_rendering_gets_the_previous_page() -> None:
    ours = exposition()
    before = ours.one_pbx(numbered("hq", 1), NOW, openmetrics=False)
    newer = numbered("hq", 2)
    with slow_rendering(ours):
        meanwhile = ours.one_pbx(newer, NOW, openmetrics=False)
    after = ours.one_pbx(newer, NOW, openmetrics=False)

    assert meanwhile.plain == before.plain
    assert samples(after)['cdr_up{pbx="hq"}'] == "2.0"


def test_a_scrape_during_a_rendering_never_gets_a_page_with_a_pbx_that_is_gone() -> None:
    ours = exposition()
    hq, branch = numbered("hq", 1), numbered("branch", 1)
    ours.all_pbxs((hq, branch), NOW, openmetrics=False)
    with slow_rendering(ours) as goes_on, ThreadPoolExecutor(1) as pool:
        page = pool.submit(ours.all_pbxs, (branch,), NOW, openmetrics=False)
        goes_on.set()
        text = page.result(30).plain.decode()

    assert 'pbx="branch"' in text
    assert 'pbx="hq"' not in text


@pytest.mark.fault("F10")
def test_a_writer_that_fails_leaves_the_exposition_usable() -> None:
    ours = exposition()
    broken = one(snapshot(series={Series(DURATION, SIP): (1, 2)}), by=ours)

    found = one(snapshot(series={Series(RECORDS, SIP): (1,)}), by=ours)

    assert not any(DURATION in each for each in broken)
    assert found == {counter(*SIP): "1.0"}


def test_a_scrape_with_older_snapshots_gets_the_newer_page_that_was_rendered_meanwhile() -> None:
    ours = exposition()
    older, newer = numbered("hq", 1), numbered("hq", 2)
    ours.one_pbx(newer, NOW, openmetrics=False)
    found = ours.one_pbx(older, NOW, openmetrics=False)

    assert samples(found)['cdr_up{pbx="hq"}'] == "2.0"


# --- what cannot be written ----------------------------------------------------------------------

STRANGE = [
    pytest.param(Series("cdr^records_total", SIP), (1,), id="a family nobody knows"),
    pytest.param(Series("cdr_records_total", SIP[:2]), (1,), id="a label is missing"),
    pytest.param(Series("cdr_records_total", (*SIP, "x")), (1,), id="one label more"),
    pytest.param(Series("cdr_records_total", SIP), (), id="no value"),
    pytest.param(Series("cdr_records_total", SIP), ("x",), id="no number"),
    pytest.param(Series("cdr_duration_seconds", SIP), (1, 2), id="buckets are missing"),
    pytest.param(Series("cdr_records_total", (1, 2, 3)), (1,), id="no text in a label"),  # type: ignore[arg-type]
]


@pytest.mark.fault("E5")
@pytest.mark.parametrize(("series", "value"), STRANGE)
def test_a_pbx_that_cannot_be_written_is_down_and_the_others_are_shown(
    series: Series, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = [full_snapshot(name) for name in ("a", "c")]
    whole = full_snapshot("b")
    totals = Totals({**whole.totals.series, series: value}, {**whole.totals.born, series: 0.0})
    bad = replace(whole, totals=totals)
    exposition = Exposition(BOUNDS, version="1")
    pages = [
        exposition.all_pbxs([good[0], each, good[1]], NOW, openmetrics=False).plain.decode()
        for each in (bad, replace(bad, number=bad.number + 1_000))
    ]
    alone = exposition.one_pbx(bad, NOW, openmetrics=True).plain.decode()

    for page in pages:
        shown = list(parse_text(page))
        assert {each.name for each in shown} >= {"cdr_records", "cdr_up"}
        pbxs = Counter(
            sample.labels["pbx"]
            for each in shown
            for sample in each.samples
            if sample.name == "cdr_records_total"
        )
        assert set(pbxs) == {"a", "c"}
        assert 'cdr_up{pbx="b"} 0.0' in page
    assert 'cdr_up{pbx="b"} 0.0' in alone
    assert caplog.text.count("cannot be written") == 1

    mended = replace(whole, number=bad.number + 2_000)
    after = exposition.all_pbxs([good[0], mended, good[1]], NOW, openmetrics=False).plain.decode()
    assert after.count("cdr_records_total{") == 3 * pages[0].count("cdr_records_total{") // 2
