"""A CDR in our words, and how the PBX's JSON becomes one.

Rule: an answer that keeps the contract is decoded in one typed pass (msgspec); any other is
taken apart row by row, so that one bad row is rejected and its page goes on. Both ways end in
the same `Record`s.

What the PBX leaves out is zero or empty: it sends no `duration` for a call that had none.
`time` is kept as text and never read: its format and zone are the PBX's display settings.
"""

from .decoding import decode
from .record import (
    LONGEST_SECONDS,
    MAX_ID,
    CDRAnswer,
    FlawedRecord,
    GarbledAnswer,
    Record,
    Rejected,
)
from .repair import FIELDS

__all__ = [
    "FIELDS",
    "LONGEST_SECONDS",
    "MAX_ID",
    "CDRAnswer",
    "FlawedRecord",
    "GarbledAnswer",
    "Record",
    "Rejected",
    "decode",
]
