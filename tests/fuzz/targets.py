"""What is done with bytes from outside, and what must hold whatever they are.

An `AssertionError` is a broken promise, and so is any other exception.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from cdr_exporter import config
from cdr_exporter.cdr import CDRAnswer, GarbledAnswer, decode
from cdr_exporter.cdr.contract import (
    CALL_TYPES,
    DATA_NOT_FOUND,
    DISPOSITIONS,
    SUCCESS,
    CDRQuery,
)
from cdr_exporter.cdr.labels import OTHER_CALL_TYPE, OTHER_DISPOSITION
from cdr_exporter.errors import ConfigError, TryAgain
from cdr_exporter.exposition import Exposition
from cdr_exporter.metrics.catalogue import REJECTED_RECORDS, UP
from cdr_exporter.metrics.snapshot import Snapshot
from cdr_exporter.metrics.totals import Series, Totals
from cdr_exporter.settings import PBX, SecretSource, Settings
from cdr_exporter.web import App

from ..support import counts, web
from ..support.counts import records
from ..support.fake_clock import FakeClock
from ..support.memory_store import MemoryStore
from ..support.poller_harness import poller_of
from ..support.rows import BOUNDS

SECRET = "CANARYs3cr3tQx7vR2mZ9kL4wP8"
"""The client secret in the corpus of configurations."""

PBX_SETTINGS = PBX(
    name="hq",
    base_url="http://127.0.0.1",
    client_id="me",
    secret=SecretSource(env="X"),
    start="all",
    dids={"+49305551": "sales"},
    queues={"6400": "support"},
    destinations={"international": ("00", "+")},
)

# --- an answer of the PBX, to the page that shows it ---


class OneAnswer:
    """A CDR list whose first page is always *body*, and that has nothing behind it.

    An answer takes a second.
    """

    def __init__(self, body: bytes) -> None:
        self.clock = FakeClock()
        self.requests = 0
        self.errcodes: Counter[int] = Counter()
        self.clock_offset: float | None = 0.0
        self._body = body

    def fetch(self, query: CDRQuery) -> CDRAnswer:
        """Return the answer; raises `GarbledAnswer`, or what the client raises for an errcode."""
        self.requests += 1
        self.clock.pass_(1.0)
        answer = decode(self._body, query.limit)
        if answer.errcode not in (SUCCESS, DATA_NOT_FOUND):
            raise TryAgain("refused", reason="http", errcode=answer.errcode)
        if query.offset or query.order_by == "asc" or query.from_:
            return CDRAnswer(errcode=SUCCESS, total=answer.total)
        if query.sort_by == "id":
            return answer
        rows = sorted(answer.rows, key=lambda row: row.started_at, reverse=True)
        return replace(answer, rows=rows)


def answer(body: bytes) -> None:
    """Poll a PBX that gives this answer: each row counts once, and the page shows no person."""
    decoded = decoded_or_none(body)
    cdr_list, store, shown = OneAnswer(body), MemoryStore(), list[Snapshot]()
    poller = poller_of(PBX_SETTINGS, cdr_list, store, cdr_list.clock, shown.append)
    seen = []
    for _ in range(2):
        poller.poll()
        cdr_list.clock.pass_(200.0)
        seen.append(counted(shown[-1].totals))
    poller = poller_of(PBX_SETTINGS, cdr_list, store, cdr_list.clock, shown.append)
    poller.poll()
    seen.append(counted(shown[-1].totals))

    assert seen[1:] == seen[:1] * 2, f"counted again: {seen}"
    if decoded is not None and shown[-1].gauges[Series(UP.name)]:
        check_counts(decoded, *seen[0])
    check_page(shown[-1], cdr_list.clock, persons_in(body, decoded))


def decoded_or_none(body: bytes) -> CDRAnswer | None:
    """Return what *body* says, None where it is garbled; the error names nothing that it holds."""
    try:
        return decode(body, 20)
    except GarbledAnswer as error:
        said = str(error)
    shown = [text for text in persons_in(body, None) if text in said]
    assert not shown, f"shown: {shown}"
    return None


def counted(totals: Totals) -> tuple[int, int]:
    """Return how many rows were counted, and how many rejected."""
    return records(totals), counts.counted(totals, REJECTED_RECORDS.name)


def check_counts(decoded: CDRAnswer, rows: int, rejected: int) -> None:
    """Hold the counts against what the answer says."""
    assert rows <= len(decoded.rows)
    # By id, a single row without one is rejected.
    assert rows + rejected <= len(decoded.rows) + len(decoded.rejected)
    ids = [row.id for row in decoded.rows]
    if decoded.errcode == SUCCESS and all(ids) and len(set(ids)) == len(ids):
        assert rows == len(ids)


PERSONS = (
    *("Ada Ahorn", "Bertha Birke", "Carl Clausen", "192.0.2.77", "20231114221000F3C1A2"),
    *("4930555999000", "4930555888777", "4930555111222", "00441632960000", "20231114-Outbound"),
)
"""What the corpus says of persons; where a fuzzer leaves it whole, it must not be shown."""


def persons_in(body: bytes, decoded: CDRAnswer | None) -> list[str]:
    """Return those texts of *body* that must be shown nowhere; a trunk may have any name."""
    rows = decoded.rows if decoded is not None else ()
    trunks = "\n".join(text for row in rows for text in (row.src_trunk, row.dst_trunk))
    return [text for text in PERSONS if text.encode() in body and text not in trunks]


_CLOSED = {
    "disposition": {*DISPOSITIONS, OTHER_DISPOSITION},
    "call_type": {*CALL_TYPES, OTHER_CALL_TYPE},
    "pbx": {"hq"},
    "did": {"sales", "other"},
    "queue": {"support", "other"},
    "destination": {"international", "other"},
}


def check_page(snapshot: Snapshot, clock: FakeClock, persons: list[str]) -> None:
    """Parse the page in both formats; labels have the values that they may have."""
    exposition = Exposition(BOUNDS, version="1.2.3")
    for in_openmetrics in (False, True):
        page = exposition.all_pbxs([snapshot], clock.now(), openmetrics=in_openmetrics)
        text = page.plain.decode()
        for family in families_of(text, in_openmetrics):
            for sample in family.samples:
                check_labels(sample.labels)
        shown = [person for person in persons if person in text]
        assert not shown, f"shown: {shown}"


WHOLE_PAGES = True
"""Whether whole pages are parsed, or each line once for all pages, which is ten times as fast."""


def families_of(text: str, in_openmetrics: bool) -> Iterable[Metric]:
    """Return what prometheus_client reads in a page; fails where it cannot."""
    if WHOLE_PAGES:
        parse = openmetrics.text_string_to_metric_families
        return (parse if in_openmetrics else text_string_to_metric_families)(text)
    return chain.from_iterable(map(families_of_line, text.splitlines(keepends=True)))


@lru_cache(maxsize=100_000)
def families_of_line(line: str) -> tuple[Metric, ...]:
    """Return the same for one line."""
    return tuple(text_string_to_metric_families(line))


def check_labels(labels: Mapping[str, str]) -> None:
    """Hold the labels of a sample against the values that they may have."""
    for name, value in labels.items():
        assert value in _CLOSED.get(name, {value}), (name, value)
        assert len(value.encode()) <= 128


# --- a request to the exporter ---


def request(data: bytes) -> None:
    """Ask for what *data* says, a line for the method and target, and a line for each header."""
    first, *lines = data.decode("latin-1").split("\n")
    method, _, target = first.partition(" ")
    headers = {
        name.replace("-", "_").lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
        if name in ("Accept", "Accept-Encoding", "Host")
    }
    with no_log():
        response = web.ask(application(), target, method, **headers)

    assert response.status in (200, 301, 302, 303, 307, 308, 400, 403, 404, 405, 421)
    assert all(value.isprintable() for value in response.headers.values())
    check_body(target.partition("?")[0], response, headers.get("host", ""))


@cache
def application() -> App:
    """Return the application over two PBXs."""
    return web.app(web.snapshot("hq"), web.snapshot("branch"))


def check_body(path: str, response: web.Response, host: str) -> None:
    """Hold a body against what its content type promises; nothing of the request is in it."""
    if response.headers.get("Content-Encoding") == "gzip" or not response.body:
        return
    text = response.body.decode()
    if path == "/sd" and response.status == 200:
        assert all(each["targets"] for each in json.loads(text))
        return
    assert "CANARY" not in text
    if path == "/metrics" and response.status == 200:
        is_openmetrics = "openmetrics" in response.headers["Content-Type"]
        parse = openmetrics.text_string_to_metric_families
        assert list((parse if is_openmetrics else text_string_to_metric_families)(text))


@contextmanager
def no_log() -> Iterator[None]:
    """Fail for a log line: a client could fill the disk with them."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert not lines.getvalue(), lines.getvalue()


# --- a configuration ---

_PIECES = [SECRET[at : at + 6] for at in range(len(SECRET) - 5)]

_HALVES = [SECRET[at : at + 13] for at in range(len(SECRET) - 12)]
"""Too much of the secret even for the name of a PBX, which is shown in a path."""

_NAMED = re.compile(r"pbxs\[([A-Za-z0-9_.-]{1,24})\]")


def configuration(data: bytes) -> None:
    """Read *data* as `exporter.yml`: settings, or lines that say where, and show no secret."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        settings = config.parse(text, "exporter.yml", Path("/etc/cdr-exporter"))
    except ConfigError as error:
        said, behind = str(error), error.__context__
    else:
        check_settings(settings)
        return
    lines = said.split("\n")
    assert all(line.startswith("exporter.yml: ") and line.isprintable() for line in lines)
    assert len(lines) <= 21
    assert behind is None
    names, unnamed = " ".join(_NAMED.findall(said)), _NAMED.sub("", said)
    shown = [half for half in _HALVES if half in names] + [
        piece for piece in _PIECES if piece in unnamed
    ]
    assert not shown, f"shown: {shown}"


def check_settings(settings: Settings) -> None:
    """Hold what was accepted against what the rest of the program takes for granted."""
    names = [pbx.name.casefold() for pbx in settings.pbxs]
    assert names
    assert len(set(names)) == len(names)
    for pbx in settings.pbxs:
        assert pbx.stale_after >= 2 * pbx.poll_interval
        assert pbx.secret.value is None or SECRET not in repr(pbx.secret)
        assert all(len(label.encode()) <= 64 for label in pbx.dids.values())


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "answer": answer,
    "request": request,
    "configuration": configuration,
}
