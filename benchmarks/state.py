"""What a page costs by how much was counted before: 500 rows against 900 and 90,000 series.

`PBXState.after` goes by the page, not by what is there. Ratios only, of processor time: the least
of several rounds is taken, the two in turn within each round.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace

from cdr_exporter.cdr import decode
from cdr_exporter.clock import Now
from cdr_exporter.commands.exporter import histogram_bounds
from cdr_exporter.ingest import (
    JudgedPage,
    KeptState,
    PBXState,
    PollBegan,
    call_rules_of,
    counting_rules_of,
)
from cdr_exporter.ledger import from_the_beginning
from cdr_exporter.ledger.page import page_of, query
from cdr_exporter.metrics.totals import SHOWN_FROM_START, Series, Totals, initial_totals
from cdr_exporter.settings import PBX, SecretSource, Settings

from .ingest import NOW, PAGE, body, made_up_row

SERIES, ROUNDS, TIMES = (900, 90_000), 15, 5
BOUNDS = histogram_bounds(Settings(pbxs=()))
HQ = PBX(name="hq", base_url="http://127.0.0.1", client_id="me", secret=SecretSource(env="X"))


def main() -> None:
    """Print the ratio."""
    event = judged_page()
    states = [state_with(number) for number in SERIES]
    best = [float("inf")] * len(states)
    for _ in range(ROUNDS):
        for number, state in enumerate(states):
            best[number] = min(best[number], timed(state, event))
    few, many = best
    print(f"{PAGE} rows against {SERIES[0]:,} series: {few * 1e3:.2f} ms, against {SERIES[1]:,}:")
    print(f"  {many * 1e3:.2f} ms, {many / few:.2f} times as much   (budget: at most 1.5)")


def judged_page() -> JudgedPage:
    chance = random.Random(1)
    page = page_of(
        query(1, PAGE), decode(body([made_up_row(chance, n) for n in range(PAGE, 0, -1)]))
    )
    rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
    return JudgedPage(page, from_the_beginning().judge(page, NOW, rules.limits), clock_offset=0.0)


def state_with(series: int) -> PBXState:
    """Return a state with so many series, of which the page changes those of four trunks."""
    rules = counting_rules_of(HQ, call_rules_of(HQ), BOUNDS)
    begun = PBXState.of(KeptState(totals=initial_totals()), rules).after(PollBegan(), Now(NOW, 0.0))
    known = begun.state.after(judged_page(), Now(NOW, 0.0)).state.totals
    more = {
        Series("cdr_did_calls_total", (f"number {n}", "answered")): (n,)
        for n in range(series - len(known.series))
    }
    born = {**known.born, **dict.fromkeys(more, SHOWN_FROM_START)}
    totals = Totals({**known.series, **more}, born, known.trunks)
    return replace(begun.state, totals=totals, ledger=from_the_beginning())


def timed(state: PBXState, event: JudgedPage) -> float:
    """Return the processor time of one page, in seconds."""
    began = time.process_time()
    for _ in range(TIMES):
        state.after(event, Now(NOW, 0.0))
    return (time.process_time() - began) / TIMES


if __name__ == "__main__":
    main()
