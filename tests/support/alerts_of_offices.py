"""What the shipped rules tell of random offices.

needed_rules     the rules about calls and fraud, and what they read
judged           an office, its troubles, and when which alert fires
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from .counted_office import shown
from .prometheus_rules import FOLDER, metrics_in, rules_of
from .promql import Array, Data, Grid, Rule, Vector, apply
from .random_offices import BEGIN, HOLIDAYS, MINUTE, Diary, written

DAY = 1440
"""Minutes."""

WEEK = 7 * DAY


class Spell(NamedTuple):
    """An alert fires from *begin* to *end*, in minutes since the office's first midnight of UTC."""

    begin: int
    end: int
    alert: str
    trunk: str


class Suffered(NamedTuple):
    """A trouble, in the same minutes; *over* is when the numbers first show that it is over."""

    name: str
    begin: int
    end: int
    over: int


class Judged(NamedTuple):
    """*refused* are the minutes at which calls were counted that the dead trunk refused; *came*
    says how many inbound calls were counted during each trouble; of a day without any, how many
    were at these hours of both weeks before.
    """

    diary: Diary
    troubles: dict[str, Suffered]
    spells: list[Spell]
    refused: list[int]
    came: dict[str, int]

    def holiday(self, minute: int) -> bool:
        """Say whether it is a public holiday, or the night after, by the office's clock."""
        return any(
            0 <= minute - (self.diary.epoch(midnight) - BEGIN) // MINUTE < DAY + 8 * 60
            for midnight in HOLIDAYS
        )


@cache
def needed_rules() -> Sequence[Rule]:
    """Return the rules about calls and fraud, and of those they read only what they read."""
    files = ("thresholds", "kpis", "telephony", "fraud")
    rules = [rule for name in files for rule in rules_of(FOLDER / f"rules/cdr-{name}.yml")]
    needed = set[str]()
    kept = [rule for rule in rules if "alert" in rule]
    while len(needed) < len(needed := needed | recorded_in(kept)):
        kept = [rule for rule in rules if rule.get("record", "") in {"", *needed}]
    return kept


def recorded_in(rules: Iterable[Rule]) -> set[str]:
    return {name for rule in rules for name in re.findall(r"\w+:\w+(?::\w+)?", rule["expr"])}


def read_raw(rules: Iterable[Rule], raw: dict[str, Vector]) -> dict[str, Vector]:
    """Return of *raw* what *rules* read."""
    names = {name for rule in rules for name in metrics_in(rule["expr"])}
    return {name: vector for name, vector in raw.items() if name in names}


def judged(size: int, seed: int) -> Judged:
    """Return an office of *size* calls a day after its seven weeks."""
    diary, troubles = written(size, seed)
    grid, raw = shown(diary)
    diary.rows.clear()  # tens of thousands, and counted
    found = apply(needed_rules(), Data(grid, raw))
    spells = [
        Spell(begin, end, alert, dict(labels).get("trunk", ""))
        for alert, by_labels in found.items()
        for labels, times in by_labels.items()
        for begin, end in times
    ]
    suffered = {}
    for trouble in troubles:
        times = trouble.begin, trouble.end or trouble.begin + 1
        begin, end = ((diary.epoch(at) - BEGIN) // MINUTE for at in times)
        over = first_sign(trouble.name, raw, end, grid)
        suffered[trouble.name] = Suffered(trouble.name, begin, end, over)
    came = {name: came_in(raw, trouble) for name, trouble in suffered.items()}
    return Judged(diary, suffered, sorted(spells), refused(raw, suffered["dead trunk"]), came)


def refused(raw: dict[str, Vector], trouble: Suffered) -> list[int]:
    wanted = {"trunk": "provider", "call_type": "Outbound", "disposition": "FAILED"}
    found = rises(raw["cdr_records_total"], wanted)[trouble.begin : trouble.end].astype(int)
    return np.repeat(np.arange(trouble.begin, trouble.begin + len(found)), found).tolist()


def came_in(raw: dict[str, Vector], trouble: Suffered) -> int:
    found = rises(raw["cdr_calls_total"], {"call_type": "Inbound"})
    weeks = (1, 2) if trouble.name == "no inbound" else (0,)
    return int(sum(found[trouble.begin - w * WEEK : trouble.end - w * WEEK].sum() for w in weeks))


SIGNS = {
    "dead trunk": ("cdr_records_total", {"trunk": "provider", "call_type": "Outbound"}, "FAILED"),
    "menu": ("cdr_calls_total", {"outcome": "answered", "call_type": "Inbound"}, "-"),
    "nobody answers": ("cdr_calls_total", {"outcome": "answered", "call_type": "Inbound"}, "-"),
    "voicemail": ("cdr_calls_total", {"outcome": "answered", "call_type": "Inbound"}, "-"),
    "no inbound": ("cdr_calls_total", {"call_type": "Inbound"}, "-"),
}
"""By which metric and labels, and not which disposition, one sees that a trouble is over. The
others are over when they are."""


def first_sign(trouble: str, raw: dict[str, Vector], end: int, grid: Grid) -> int:
    """Return the minute after *end* in which it is seen that the trouble is over."""
    if trouble not in SIGNS:
        return end
    metric, wanted, unwanted = SIGNS[trouble]
    risen = np.flatnonzero(rises(raw[metric], wanted, unwanted)[end + 1 :])
    return end + 1 + int(risen[0]) if len(risen) else grid.size


def rises(vector: Vector, wanted: dict[str, str], unwanted: str = "-") -> Array:
    """Return by how much the series with the *wanted* labels rise in each minute, together."""
    chosen = [
        np.nan_to_num(values)
        for labels, values in vector.items()
        if wanted.items() <= dict(labels).items() and unwanted not in dict(labels).values()
    ]
    return np.diff(np.sum(chosen, axis=0), prepend=0)
