"""The preview in words: of few lines where all is well, and without anybody's name or number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cdr_exporter.calls import OUTCOMES
from cdr_exporter.calls.callee import split_party
from cdr_exporter.cdr import CDRAnswer, Record
from cdr_exporter.cdr.contract import CALL_TYPES
from cdr_exporter.commands.newest_rows import NewestRows, read_newest_rows
from cdr_exporter.commands.preview import preview_of
from cdr_exporter.commands.preview_text import WIDTH, preview_text
from cdr_exporter.errors import TryAgain
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.metrics.self_metrics import SelfMetrics
from cdr_exporter.settings import PBX, SecretSource
from cdr_exporter.tail.page_reader import PageReader
from pbx_simulator import SimulatedPBX
from pbx_simulator.firmware import Upgrade
from pbx_simulator.malformed_rows import ROW_KINDS

from ..support.each import for_each
from ..support.fake_clock import FakeClock
from ..support.in_process_cdr_list import InProcessCDRList
from ..support.paths import ROOT
from ..support.rows import BOUNDS, EPOCH, flawed, record

UTC = ZoneInfo("UTC")
NOON = 1_700_049_600.0  # a Wednesday
NUMBERS: dict[str, Any] = {
    "dids": {"+493023125100": "sales", "+493023125199": "fax"},
    "queues": {"6400": "support"},
    "destinations": {"international": ("00", "+")},
}


def text_of(found: NewestRows, *, now: float = NOON, zone: ZoneInfo = UTC, **settings: Any) -> str:
    return preview_text(preview_of(found, entry(**settings), (), BOUNDS, now), zone)


def entry(**settings: Any) -> PBX:
    """Return the settings of a PBX."""
    source = SecretSource(env="X")
    return PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=source, **settings)


def said(rows: Iterable[Record], **more: Any) -> str:
    """Return the text about *rows*, the whole list, without its line breaks."""
    rows = list(rows)
    page = page_of(query(1, 200), CDRAnswer(errcode=0, total=len(rows), rows=rows))
    return " ".join(text_of(NewestRows(page), **more).split())


def simulated(**more: Any) -> NewestRows:
    """Return the newest rows of a simulated PBX at noon."""
    return newest_of(SimulatedPBX(clock=lambda: NOON, days=2, **more))


def newest_of(pbx: SimulatedPBX) -> NewestRows:
    clock = FakeClock()
    reader = PageReader(InProcessCDRList(pbx, lambda: None), SelfMetrics(BOUNDS), clock)
    return read_newest_rows(entry(), reader, clock)


def documented() -> str:
    return (ROOT / "docs/configuration.md").read_text("utf-8")


def test_the_example_of_the_docs_is_what_a_simulated_pbx_gives() -> None:
    assert text_of(simulated(), **NUMBERS) in documented()


def test_the_docs_show_what_is_said_of_a_pbx_whose_numbers_are_others() -> None:
    outside = {"call_type": "Outbound", "src_trunk": "", "dst_trunk": "sip"}
    rows = [record(n, call_to="030111", **outside) for n in range(120, 100, -1)]
    rows += [record(n, call_to="Sprachmenü Tag<800>") for n in range(100, 60, -1)]
    rows += [record(n, call_to=f"Anna Beispiel<{n}>") for n in range(60, 20, -1)]
    rows += [record(n, call_to="Warteschlange Verkauf<700>") for n in range(20, 0, -1)]
    page = page_of(query(1, 200), CDRAnswer(errcode=0, total=120, rows=rows))
    lines = text_of(NewestRows(page)).splitlines()

    shown = [line for line in lines if not line.startswith(("  rows", "  trunks"))]
    assert "\n".join(shown) in documented()


def test_where_all_is_well_there_are_few_lines_and_no_hint() -> None:
    lines = text_of(simulated()).splitlines()

    assert len(lines) <= 10
    assert not [line for line in lines if line.startswith("  !")]


def test_a_pbx_without_rows_has_nothing_to_show() -> None:
    assert said([], **NUMBERS) == ""


@for_each(
    [
        pytest.param([record(2), record(1)], "the newest 2, all with ids", id="ids"),
        pytest.param([record(1), record(0)], "the newest 1, all with ids", id="one broken"),
        pytest.param([record(1, started_at=0)], "without start", id="no start"),
        pytest.param(
            [record(2, started_at=EPOCH + 90_000), record(1)],
            "2023-11-14 22:13 to 2023-11-15 23:13 UTC",
            id="two days",
        ),
        pytest.param(
            [record(2, started_at=EPOCH + 3600), record(1)],
            "2023-11-14 22:13 to 23:13 UTC",
            id="one day",
        ),
        pytest.param([record(1), record(0)], "rejected rows, by reason: id 1", id="rejected"),
        pytest.param(
            [flawed(1, "duration", "src_trunk")],
            "unusable fields taken as missing: duration 1, src_trunk 1",
            id="unusable fields",
        ),
        pytest.param(
            [record(1, disposition="CONGESTION", call_type="Odd")],
            "unknown values outside the contract: call_type 1, disposition 1",
            id="unknown values",
        ),
        pytest.param(
            [record(1, uid="a"), record(1, uid="b")],
            "same id rows that share one with another: 2",
            id="shared ids",
        ),
        pytest.param(
            [record(1, call_to="112", call_type="Outbound", dst_trunk="sip", src_trunk="")],
            "emergency calls to emergency_numbers: 1",
            id="emergency",
        ),
        pytest.param(
            [record(n, src_trunk=f"trunk-{n:03}") for n in range(30, 0, -1)],
            "trunk-012 1 and 18 more",
            id="many trunks",
        ),
    ]
)
def test_facts_are_said(rows: list[Record], fact: str) -> None:
    assert fact in said(rows)


def test_facts_that_are_not_there_are_not_spoken_of() -> None:
    usual = said([record(1)])

    for heading in ("rejected", "unusable", "unknown", "same id", "emergency", "max_trunks"):
        assert heading not in usual


def test_times_are_those_of_the_time_zone() -> None:
    assert "2023-11-14 23:13 to 23:13 Europe/Berlin" in said(
        [record(1)], zone=ZoneInfo("Europe/Berlin")
    )


def test_trunks_beyond_max_trunks_are_said() -> None:
    rows = [record(n, src_trunk=f"trunk-{n}") for n in (3, 2, 1)]

    assert 'max_trunks rows counted as trunk="other": 1' in said(rows, max_trunks=2)


NAMED: dict[str, Any] = {
    "dids": {"+49301": "sales", "+49302": "sales", "+49303": "fax"},
    "queues": {"700": "support"},
}


def test_what_was_configured_and_never_met_is_named_by_its_label() -> None:
    text = said([record(1, did_number="+49301")], **NAMED)

    assert "dids sales 1; never met: sales (1 of 2 numbers), fax" in text
    assert "queues none; never met: support" in text
    assert "destinations" not in text


# --- hints ---------------------------------------------------------------------------------------


def people(count: int, **more: Any) -> list[Record]:
    return [record(n, call_to=f"Dan<{1000 + n}>", **more) for n in range(count, 0, -1)]


@for_each(
    [
        pytest.param(
            [record(n, call_to=f"Dan<{700 + n}>") for n in (2, 1)],
            "! 2 of 2 legs answered by people here: neither number nor name says that it was a"
            " person (7xx 2). They count as persons.",
            id="neither",
        ),
        pytest.param(
            [record(31, call_to="Dan<700>"), *people(30)],
            "! 1 answered leg of whom neither number nor name says who it was (7xx 1)",
            id="few of neither",
        ),
        pytest.param(
            [record(1, call_to="IVR Day<6400>")],
            "! 1 of 1 leg: number_plan says one thing of the number and the callee's name another"
            " (64xx in queues 1)",
            id="conflict",
        ),
        pytest.param(
            people(1, call_from="Eve<6401>", call_type="Internal", src_trunk=""),
            "! 1 row made by numbers that are no telephones by number_plan (64xx in queues 1)",
            id="odd caller",
        ),
        pytest.param(
            [record(1, call_to="Dan<6401>")],
            "! 1 answered leg with talk to what number_plan or the name says are queues",
            id="a queue of nobody",
        ),
        pytest.param(
            people(1, started_at=int(NOON) + 7200),
            "! the newest row begins 2 h from now",
            id="a clock ahead",
        ),
        pytest.param(
            people(1, started_at=1000), "! 1 row with a start before 2000", id="a start of 1970"
        ),
        pytest.param(people(2, uid=""), "! 2 rows without uid", id="no uid"),
    ]
)
def test_what_looks_odd_is_said_with_what_to_do(rows: list[Record], hint: str) -> None:
    assert hint in said(rows)


def test_a_start_of_less_than_a_minute_ahead_is_nothing_to_speak_of() -> None:
    assert "!" not in said(people(1, started_at=int(NOON) + 59))


@for_each(
    [
        pytest.param(7200.0, "! by its answers the PBX's clock is 2 h ahead of", id="ahead"),
        pytest.param(-90.0, "! by its answers the PBX's clock is 2 min behind", id="behind"),
        pytest.param(60.0, "", id="a minute"),
        pytest.param(None, "", id="not known"),
    ]
)
def test_a_clock_that_is_off_by_its_answers_is_said(offset: float | None, hint: str) -> None:
    page = page_of(query(1, 200), CDRAnswer(errcode=0, total=1, rows=people(1)))
    text = " ".join(text_of(NewestRows(page, clock_offset=offset)).split())

    assert hint in text
    assert ("!" in text) == bool(hint)


def test_a_list_of_legacy_rows_only_is_said_with_its_newest_row() -> None:
    found = simulated(upgrade=Upgrade(shows="legacy"), upgraded_days=1)
    legacy = " ".join(text_of(found).split())
    nothing = " ".join(
        text_of(found._replace(legacy=page_of(query(1, 20), CDRAnswer(errcode=0)))).split()
    )

    assert "without the parameter from=new this PBX lists only rows from before" in legacy
    assert "the newest of 2023-11-14 1" in legacy
    assert "of which there is none" in nothing


def test_calls_at_the_edge_are_said() -> None:
    rows = [record(n, started_at=EPOCH + 600 * n) for n in range(120, 100, -1)]
    page = page_of(query(1, 20), CDRAnswer(errcode=0, total=900, rows=rows))
    close = [record(n) for n in range(120, 100, -1)]
    all_cut = page_of(query(1, 20), CDRAnswer(errcode=0, total=900, rows=close))

    assert "8 more may have older rows, and are left out" in text_of(NewestRows(page))
    assert "! all calls may have older rows than these" in text_of(NewestRows(all_cut))


# --- widths --------------------------------------------------------------------------------------

ALL_OUTCOMES = [
    ("ANSWERED", "1001", ""),
    ("VOICEMAIL", "1001", ""),
    ("NO ANSWER", "1001", ""),
    ("BUSY", "1001", ""),
    ("NO ANSWER", "1001", "src blacklist"),
    ("FAILED", "1001", ""),
    ("ANSWERED", "6200", ""),
    ("CONGESTION", "1001", ""),
]


def test_no_line_is_wider_than_a_terminal() -> None:
    every = [
        record(
            n,
            disposition=disposition,
            call_to=call_to,
            reason=reason,
            call_type=CALL_TYPES[(n + 2) % 3],
            src_trunk=f"{'a long name of a trunk' * 6}-{n}",
        )
        for n, (disposition, call_to, reason) in enumerate(ALL_OUTCOMES, start=1)
    ]
    page = page_of(query(1, 200), CDRAnswer(errcode=0, total=8, rows=every[::-1]))
    lines = text_of(NewestRows(page), **NUMBERS).splitlines()
    table = next(line for line in lines if line.startswith("  calls"))

    assert table.split()[1:] == list(OUTCOMES)
    assert max(map(len, lines)) <= WIDTH


# --- nobody's name or number ---------------------------------------------------------------------

PARTIES = ("call_from", "call_to", "call_to_number", "did_number", "dod_number", "src_addr")


def everybody(rows: Iterable[Any]) -> set[str]:
    """Return the names and numbers in *rows* as sent, but for those of machines."""
    found: set[str] = set()
    for row in rows:
        for field in PARTIES:
            name, number = split_party(str(row.get(field) or ""))
            found |= {number, *name.split()}
    return {each for each in found if len(each) > 2} - {"IVR", "Queue", "Voicemail", "Conference"}


def add_odd_people(pbx: SimulatedPBX) -> None:
    """Let *pbx* write rows of people whom neither number nor name tells, and of odd ones."""
    for call_to in (
        "Kristin Canary<64011>",
        "Kristin Canary<71>",
        "Kristin Canary",
        "73-Kristin Canary",
        "+491525550199",
        "IVR Canary<6477>",
        "Voicemail Kristin Canary<1077>",
        "<>Canary<6>",
        "Queue Kristin Canary<4711>",
    ):
        pbx.office.call(call_to=call_to, call_from="Kristin Canary<+491525550199>")
        pbx.office.call(call_to=call_to, call_from="Canary<6477>", call_type="Internal")


def shown_of(pbx: SimulatedPBX) -> str:
    """Return what is shown of *pbx*, an error where its page is void."""
    try:
        return text_of(newest_of(pbx), **NUMBERS)
    except TryAgain as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.fault("G6")
def test_no_malformed_row_shows_a_name_or_a_whole_number() -> None:
    pbx = SimulatedPBX(clock=lambda: NOON, days=1)
    add_odd_people(pbx)
    rows = list(pbx.table)
    known = everybody(rows)
    shown: dict[str, set[str]] = {}
    for kind in ROW_KINDS:
        for row in (rows[-20], rows[-2]):
            pbx.faults.malform_row(kind, row["id"])
        shown[kind] = set(re.findall(r"[+*#\w]+", shown_of(pbx)))
        pbx.faults.mend_rows()

    assert {"Canary", "Kristin", "Ahorn", "+491525550199", "6477", "2001"} <= known
    assert {kind: words & known for kind, words in shown.items() if words & known} == {}
    assert sum("newest" in words for words in shown.values()) >= len(ROW_KINDS) - 1
