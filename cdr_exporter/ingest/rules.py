"""What the user configured about how one PBX is counted: fixed as long as a process follows it."""

from __future__ import annotations

from dataclasses import dataclass

from ..calls import CallRules, LegClassifier
from ..ledger import LedgerLimits
from ..metrics.totals import Bounds
from ..settings import PBX
from .call_assembly import CallAssembler, settle_rules_of


@dataclass(frozen=True)
class CountingRules:
    """The rules of one PBX. *stale_after* and *birth_hold* are in seconds, *bounds* of histograms.

    *start* is what a first start counts, `now` or `all`.
    """

    calls: CallRules
    assembler: CallAssembler
    limits: LedgerLimits
    bounds: Bounds
    max_trunks: int
    stale_after: float
    birth_hold: float
    start: str


def counting_rules_of(pbx: PBX, call_rules: CallRules, bounds: Bounds) -> CountingRules:
    """Return the rules of *pbx*; *bounds* are the upper bounds of buckets by their setting."""
    return CountingRules(
        calls=call_rules,
        assembler=CallAssembler(LegClassifier(call_rules), settle_rules_of(pbx)),
        limits=LedgerLimits(pbx.late_window, pbx.longest_call),
        bounds=bounds,
        max_trunks=pbx.max_trunks,
        stale_after=pbx.stale_after,
        birth_hold=pbx.birth_hold,
        start=pbx.start,
    )
