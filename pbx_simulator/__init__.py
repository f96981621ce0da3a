"""A simulated PBX: the CDR part of the P-Series Open API, for tests, demos and trying things out.

Rule: it imports nothing of the exporter, so that it can judge the exporter's reading of the
contract with a reading of its own.

    scenarios → calls → traffic → appearing → table (firmware) ← events ← tests, or control
                                  ↓
    server → pbx.answer → api → listing (waiting, pages, poison) → answer
                           ↘ (faults, tokens)

`Events` lists by name what can happen to it: calls, late rows, deletions with and without ids
used again, the clean-up, backups put back, resets, newer firmware, a wrong clock, foreign, stale
and empty answers, pages that shift during a walk, pages and rows that break the contract. `Fault`
and `TokenIssuer` have what goes wrong on the way and with logging in.

A call is made of a scenario, a row being one of its legs, and `SCENARIOS` holds what truly became
of it; `judge.state` counts these truths, so that whoever concludes outcomes from rows can be
judged. Rows written by hand are rows only.

Not imitated: the speed and the load limits of a real box, conferences of several people, call
parking, pickup, paging, fax, the numbering of `call_id`, and every endpoint but `get_token`,
`refresh_token`, `del_token` and `cdr/list`. What the vendor leaves open is decided in the module
concerned, under "Assumed", or left to be chosen, under "Not known".
"""

from .pbx import SimulatedPBX

__all__ = ["SimulatedPBX"]
