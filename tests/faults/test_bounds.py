"""The table of what a PBX may cost, in `docs/reliability.md`, names the bounds that there are.

That each is kept is held by the tests of what it is about.
"""

from __future__ import annotations

import pytest

from cdr_exporter import logs
from cdr_exporter.calls import MAX_CLOSED_CALLS, MAX_OPEN_CALLS, open_calls
from cdr_exporter.cdr import largest_answer
from cdr_exporter.cdr.labels import LONGEST_TRUNK
from cdr_exporter.cdr.record import LONGEST_TEXT, LONGEST_UID
from cdr_exporter.ledger import REMEMBERED_BY_ID, REMEMBERED_BY_TIME, ledger, recheck_ranges
from cdr_exporter.pbx.client import LARGE_BYTES
from cdr_exporter.settings import Overridable
from cdr_exporter.settings.kinds import declared
from cdr_exporter.tail import page_reader
from cdr_exporter.tail.page_size import LARGEST_PAGE

from ..support.paths import ROOT

KIB, MIB = 1 << 10, 1 << 20
A_ROW = largest_answer(2) - largest_answer(1)

BOUNDS = {
    "an answer to a login, or without a list": [f"{largest_answer(0) // KIB} KiB"],
    "an answer to a query of the list": [
        f"{largest_answer(0) // KIB} KiB and {A_ROW // KIB} KiB for each row",
        f"{largest_answer(10_000) // MIB} MiB in all",
    ],
    "the rows of an answer": [f"{LARGEST_PAGE}"],
    "memory to decode an answer": ["three times", f"above {LARGE_BYTES // MIB} MiB"],
    "a text of a row": [f"{LONGEST_TEXT} characters", f"`uid` {LONGEST_UID}"],
    "a row": [f"{largest_answer(1) // KIB} KiB, and {A_ROW // KIB} KiB on"],
    "open calls": [
        f"{MAX_OPEN_CALLS:,}",
        f"{open_calls.MAX_OPEN_LEGS:,} legs",
        f"{open_calls.MAX_LEGS:,} legs in one",
    ],
    "counted calls that are remembered": [f"{MAX_CLOSED_CALLS:,}"],
    "identities of rows": [f"{REMEMBERED_BY_ID:,} by id", f"{REMEMBERED_BY_TIME:,} by time"],
    "ranges to be read, and to be rechecked": [
        f"{ledger.MAX_UNREAD_RANGES:,}",
        f"{recheck_ranges.MAX_RANGES:,}",
    ],
    "trunks": [f"`max_trunks`, {declared(Overridable)['max_trunks'].default}"],
    "a label value": [f"{LONGEST_TRUNK} bytes"],
    "a log line": [
        f"{logs._MAX_MESSAGE} characters of message",
        f"{logs.MAX_VALUE} of each field",
        f"{logs._MAX_TRACEBACK:,} of a traceback",
    ],
    "log lines about rows too large": [f"{page_reader._MOST_LOGGED} in a process"],
    "a failed poll, in the log": ["a line where the reason changes"],
}


def table() -> dict[str, str]:
    """Return the bounds that the page names, by what they are of."""
    text = (ROOT / "docs/reliability.md").read_text("utf-8")
    section = text.partition("## What a PBX may cost")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {of.strip(): bound.strip() for of, bound, _ in rows[1:]}


@pytest.mark.fault("E15")
def test_the_docs_name_each_bound_as_it_is() -> None:
    found = table()

    assert list(found) == list(BOUNDS)
    missing = [
        (of, word) for of, words in BOUNDS.items() for word in words if word not in found[of]
    ]
    assert missing == []
