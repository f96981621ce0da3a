"""Ingest: response bytes → judged, tallied and durably committed, against others in this run.

    ours     decode → page_of → judge → PBXState.after: rows and calls, one commit (fsync)
    bare     msgspec decodes the same pages into the same structs, and nothing else
    naive    json.loads, then prometheus_client instruments updated row by row, for rows and for
             calls of one leg; nothing durable

Ratios only: a machine's own seconds mean nothing to anybody else. The best of several rounds is
taken, the three in turn within each round.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram

from cdr_exporter.cdr import Record, decode
from cdr_exporter.clock import Now
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.ingest import (
    EndOfPoll,
    Event,
    JudgedPage,
    PBXState,
    PollBegan,
    call_rules_of,
    counting_rules_of,
)
from cdr_exporter.ledger import from_the_beginning
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.metrics.catalogue import LEGS_BUCKETS
from cdr_exporter.settings import (
    DURATION_BUCKETS,
    PBX,
    RING_BUCKETS,
    WAIT_BUCKETS,
    SecretSource,
    Settings,
)
from cdr_exporter.store import FileStore

ROWS, PAGE, ROUNDS = 100_000, 500, 5
BOUNDS = histogram_bounds(Settings(pbxs=()))
HQ = PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X"))

EPOCH, APART = 1_700_000_000, 30
NOW = float(EPOCH + APART * (ROWS + 120))
"""Row n ends n * APART seconds after EPOCH; NOW is an hour after the newest."""


def main() -> None:
    """Print the two ratios."""
    pages = made_up_pages()
    times: dict[str, list[float]] = {name: [] for name in RUNS}
    for _ in range(ROUNDS):
        for name, run in RUNS.items():
            times[name].append(timed(run, pages))
    best = {name: min(each) for name, each in times.items()}
    print(f"ingest of {ROWS:,} rows, {PAGE} a page, best of {ROUNDS}:")
    for name, seconds in best.items():
        print(f"  {name:6} {seconds / ROWS * 1e6:7.2f} µs a row")
    print(f"  ours / bare  = {best['ours'] / best['bare']:.1f}   (budget: at most 6)")
    print(f"  naive / ours = {best['naive'] / best['ours']:.1f}   (budget: at least 5)")


def timed(run: Callable[[list[bytes]], None], pages: list[bytes]) -> float:
    began = time.perf_counter()
    run(pages)
    return time.perf_counter() - began


def ours(pages: list[bytes]) -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        store = FileStore(Path(directory), "bench", "me", BOUNDS)
        rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
        state = PBXState.of(store.load(), rules)

        def take(event: Event) -> None:
            nonlocal state
            state, change = state.after(event, Now(NOW, 0.0))
            if not change.is_empty:
                store.commit(change)

        def judged(number: int, body: bytes) -> JudgedPage:
            page = page_of(query(number, PAGE), decode(body))
            ledger = state.ledger or from_the_beginning()
            # The PBX tells its time in each answer. Without it, the newest calls would stay open.
            return JudgedPage(page, ledger.judge(page, NOW, rules.limits), clock_offset=0.0)

        take(PollBegan())
        for number, body in enumerate(pages, start=1):
            # Nothing holds a page while the next is decoded: two at a time fill a small cache.
            take(judged(number, body))
        take(EndOfPoll(all_read=True))
        for family in ("cdr_records_total", "cdr_calls_total"):
            counted = sum(
                value[0] for key, value in state.totals.series.items() if key.family == family
            )
            assert counted == ROWS, (family, counted)
        store.close()


class Envelope(msgspec.Struct):
    """What a page is, without any tolerance."""

    errcode: int
    data: list[Record]


def bare(pages: list[bytes]) -> None:
    decoder = msgspec.json.Decoder(Envelope)
    for body in pages:
        decoder.decode(body)


def naive(pages: list[bytes]) -> None:
    registry = CollectorRegistry()
    names = ["pbx", "disposition", "call_type", "trunk"]
    records = Counter("cdr_records", "x", names, registry=registry)
    duration, talk = (
        Histogram(f"cdr_{name}_seconds", "x", names, buckets=DURATION_BUCKETS, registry=registry)
        for name in ("duration", "talk_duration")
    )
    ring = Histogram("cdr_ring_seconds", "x", names, buckets=RING_BUCKETS, registry=registry)
    # What ours does beside: each row is a call of one leg here, so nothing has to be put together.
    calls = Counter("cdr_calls", "x", ["pbx", "outcome", *names[2:]], registry=registry)
    call_duration, call_talk, wait, abandon = (
        Histogram(f"cdr_call_{name}", "x", ["pbx", *names[2:]], buckets=bounds, registry=registry)
        for name, bounds in (
            ("duration", DURATION_BUCKETS),
            ("talk", DURATION_BUCKETS),
            ("wait", WAIT_BUCKETS),
            ("abandon", WAIT_BUCKETS),
        )
    )
    legs = Histogram("cdr_legs", "x", ["pbx", "call_type"], buckets=LEGS_BUCKETS, registry=registry)
    for body in pages:
        for row in json.loads(body)["data"]:
            trunk = row.get("src_trunk") or row.get("dst_trunk") or "none"
            labels = ("hq", row["disposition"], row["call_type"], trunk)
            records.labels(*labels).inc()
            duration.labels(*labels).observe(row.get("duration", 0))
            if row["disposition"] in ("ANSWERED", "VOICEMAIL") or row.get("ring_duration"):
                ring.labels(*labels).observe(row.get("ring_duration", 0))
            if row["disposition"] == "ANSWERED" or row.get("talk_duration"):
                talk.labels(*labels).observe(row.get("talk_duration", 0))
            outcome = OUTCOMES[row["disposition"]]
            call = ("hq", row["call_type"], trunk)
            calls.labels("hq", outcome, *call[1:]).inc()
            call_duration.labels(*call).observe(row.get("duration", 0))
            legs.labels(*call[:2]).observe(1)
            if outcome == "answered":
                wait.labels(*call).observe(row.get("ring_duration", 0))
                call_talk.labels(*call).observe(row.get("talk_duration", 0))
            if outcome == "no_answer":
                abandon.labels(*call).observe(row.get("duration", 0))


OUTCOMES = {
    "ANSWERED": "answered",
    "NO ANSWER": "no_answer",
    "BUSY": "busy",
    "FAILED": "failed",
    "VOICEMAIL": "voicemail",
}
RUNS = {"ours": ours, "bare": bare, "naive": naive}


def made_up_pages() -> list[bytes]:
    """Return the table as the PBX sends it newest first, with the contract's fields."""
    chance = random.Random(1)
    rows = [made_up_row(chance, row_id) for row_id in range(ROWS, 0, -1)]
    starts = range(0, ROWS, PAGE)
    return [body(rows[start : start + PAGE]) for start in starts]


def body(rows: list[dict[str, object]]) -> bytes:
    envelope = {"errcode": 0, "errmsg": "SUCCESS", "total_number": ROWS, "data": rows}
    return json.dumps(envelope).encode()


def made_up_row(chance: random.Random, row_id: int) -> dict[str, object]:
    call_type = chance.choices(("Inbound", "Outbound", "Internal"), (5, 4, 2))[0]
    outcome = chance.choices(
        ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "VOICEMAIL"), (60, 20, 8, 5, 7)
    )[0]
    ring = chance.randint(1, 40)
    talk = round(chance.lognormvariate(4.5, 1.1)) if outcome == "ANSWERED" else 0
    trunk = chance.choice(("SIP-Provider", "PSTN", "Backup", "Branch"))
    # Rows get their ids when calls end.
    ended = EPOCH + APART * row_id
    row: dict[str, object] = {
        "id": row_id,
        "time": "06/14/2022 11:19:28",
        "call_from": "Kristin Hale<2005>",
        "call_to": "5550100",
        "timestamp": ended - ring - talk,
        "uid": f"20220614111928{row_id:06X}",
        "src_addr": "192.0.2.25",
        "duration": ring + talk,
        "ring_duration": ring,
        "disposition": outcome,
        "call_type": call_type,
        "reason": "src hangup    ",
    }
    if talk:
        row |= {
            "talk_duration": talk,
            "record_file": f"20220614111933-{row_id}.0-2005-{call_type}.wav",
        }
    if call_type != "Internal":
        row["src_trunk" if call_type == "Inbound" else "dst_trunk"] = trunk
    return row


if __name__ == "__main__":
    main()
