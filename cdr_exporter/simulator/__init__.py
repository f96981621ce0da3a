"""A simulated PBX: the CDR part of the P-Series Open API, for tests, demos and trying things out.

Rule: it imports nothing of the exporter, so that it can judge the exporter's reading of the
contract with a reading of its own.

    office → calls → traffic → table
                                  ↓
    server → pbx.answer → api → (faults, tokens, table) → answer
                        ↘ control (loopback only, when asked for)

Not imitated: the speed and the load limits of a real box, several legs per call, rows without
`id` as newer firmware writes them, the automatic clean-up, restores, and every endpoint but
`get_token`, `refresh_token`, `del_token` and `cdr/list`. What the vendor leaves open is decided
in the module concerned, under "Assumed".
"""

from .pbx import SimulatedPBX

__all__ = ["SimulatedPBX"]
