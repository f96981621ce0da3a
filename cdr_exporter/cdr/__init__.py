"""A call detail record (CDR) as a value, and how the PBX's JSON becomes one. Pure.

    contract     what the vendor fixes: query parameters, allowed values, error codes used by name
    record       the values: a record, a rejected row, an answer
    decoding     JSON to an answer, in one typed pass
    repair       what departs from the contract, row by row
    values       one value of it: a text of bounded length, a number
    scanner      where the values of a JSON text stand, also of one that departs from JSON
    labels       which label values a record is counted under
    error_codes  what to do about each error code of the PBX

Rule: an answer that keeps to the contract is decoded in one typed pass (msgspec). Any other is
decoded row by row, so that one bad row is rejected and the rest of its page is used. Both ways
give the same `Record`s.

A field that is missing is 0 or empty: the PBX sends no `duration` for a call without one. A blank
text is the same as none, in every field. `time`
is kept as text and not interpreted: its format and time zone are display settings of the PBX.
"""

from .decoding import decode, largest_answer
from .record import (
    LONGEST_SECONDS,
    MAX_ID,
    CDRAnswer,
    FlawedRecord,
    GarbledAnswer,
    Record,
    Rejected,
)
from .repair import FIELDS, errcode_of, read_object

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
    "errcode_of",
    "largest_answer",
    "read_object",
]
