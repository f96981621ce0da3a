"""The values: a record, a rejected row, an answer.

Source: the P-Series developer guide's "Query CDR List"; ids as text (`new_id`) are sent by newer
firmware.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

LONGEST_SECONDS = 7 * 86_400
"""Seconds, 7 days; a longer duration is taken as absent."""

MAX_ID = 2**63 - 1
"""The largest id that the PBX and SQLite can store."""

LONGEST_TEXT = 128
"""Characters, at most 512 bytes of UTF-8; of a longer text the beginning and a hash are kept."""

LONGEST_UID = 64
"""The same of a `uid`, of which more are kept: of 20,000 open calls, and as many counted ones."""

EARLIEST = 946_684_800
"""Epoch seconds (year 2000): what began before it was written by a clock that was not set."""

LATEST = 2**33
"""Epoch seconds (year 2242); a later `timestamp` is taken as absent."""

THIRTY_ONE_BITS = 0x7FFF_FFFF

_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
_UID = Annotated[str, Meta(max_length=LONGEST_UID)]
_Seconds = Annotated[int, Meta(ge=0, le=LONGEST_SECONDS)]


class GarbledAnswer(ValueError):
    """An answer that is not the JSON of the contract; nothing of it is used."""


class Record(Struct, frozen=True, gc=False, kw_only=True):
    """One row of the CDR list, which is one leg of a call.

    *started_at* is in epoch seconds, UTC, 0 where it is unknown; durations are in seconds. *id* is
    0 where the firmware gives rows no number; it may send the text *new_id* instead. Newer
    firmware may send *call_to_number* beside *call_to*. A text that was blank is empty.
    """

    id: Annotated[int, Meta(ge=1, le=MAX_ID)] = 0
    new_id: _Text = ""
    time: _Text = ""
    call_from: _Text = ""
    call_to: _Text = ""
    call_to_number: _Text = ""
    started_at: Annotated[int, Meta(ge=0, le=LATEST)] = msgspec.field(name="timestamp", default=0)
    uid: _UID = ""
    src_addr: _Text = ""
    src_trunk: _Text = ""
    dst_trunk: _Text = ""
    duration: _Seconds = 0
    ring_duration: _Seconds = 0
    talk_duration: _Seconds = 0
    disposition: _Text = ""
    call_type: _Text = ""
    did_number: _Text = ""
    dod_number: _Text = ""
    record_file: _Text = ""
    reason: _Text = ""

    @property
    def ended_at(self) -> int:
        """When the leg ended, in epoch seconds; 0 when its start is unknown."""
        return self.started_at and self.started_at + self.duration

    @property
    def fingerprint(self) -> int:
        """63 bits by which this row differs from another one that was given the same id.

        Made of the start and the uid only, since other fields may change after the row was
        written, such as the recording. Without uid, of the address and the two parties.
        """
        text = self.uid or "\0".join((self.src_addr, self.call_from, self.call_to))
        return zlib.crc32(text.encode()) << 31 | self.started_at & THIRTY_ONE_BITS


class FlawedRecord(Record, frozen=True, gc=False, kw_only=True):
    """A record of which *unusable_fields* were there but unusable, and so taken as absent."""

    unusable_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be counted; *reason* is `id`, `number` or `shape` (not an object).

    *fingerprint* is made of the raw content, so that the same row read twice is counted as
    rejected once. *id* is None where the row has none or it is unusable.
    """

    reason: str
    fingerprint: int
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CDRAnswer:
    """One decoded response; only with `errcode` 0 are the other fields to be used.

    *total* is `total_number`, the rows of the whole list; None where the PBX does not send it.
    *rows* are in the order of the answer.
    """

    errcode: int
    errmsg: str | None = None
    total: int | None = None
    rows: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
