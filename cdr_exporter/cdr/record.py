"""The values: a record, a row that is none, an answer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

LONGEST_SECONDS = 7 * 86_400
"""No call lasts longer; a duration beyond is taken as absent."""

MAX_ID = 2**63 - 1
"""The largest id that SQLite and the PBX can have."""

LATEST = 2**33
"""Epoch seconds (year 2242): a `timestamp` beyond is taken as absent."""

THIRTY_ONE_BITS = 0x7FFF_FFFF

_Seconds = Annotated[int, Meta(ge=0, le=LONGEST_SECONDS)]


class GarbledAnswer(ValueError):
    """An answer that is not the contract's JSON; nothing of it is used."""


class Record(Struct, frozen=True, gc=False, kw_only=True):
    """One CDR row, that is one leg of a call. Durations are in seconds.

    *id* is 0 where the PBX's firmware gives rows none; it may give them a *new_id* instead.
    """

    id: Annotated[int, Meta(ge=1, le=MAX_ID)] = 0
    new_id: str = ""
    time: str = ""
    call_from: str = ""
    call_to: str = ""
    started_at: Annotated[int, Meta(ge=0, le=LATEST)] = msgspec.field(name="timestamp", default=0)
    uid: str = ""
    src_addr: str = ""
    src_trunk: str = ""
    dst_trunk: str = ""
    duration: _Seconds = 0
    ring_duration: _Seconds = 0
    talk_duration: _Seconds = 0
    disposition: str = ""
    call_type: str = ""
    did_number: str = ""
    dod_number: str = ""
    record_file: str = ""
    reason: str = ""

    @property
    def ended_at(self) -> int:
        """Epoch seconds; 0 when the start is unknown."""
        return self.started_at and self.started_at + self.duration

    @property
    def fingerprint(self) -> int:
        """63 bits that tell this row from another one that was given the same id.

        Start and uid only: a row may gain a recording or a note after it was written. Rows
        without uid take what else does not change.
        """
        text = self.uid or "\0".join((self.src_addr, self.call_from, self.call_to))
        return zlib.crc32(text.encode()) << 31 | self.started_at & THIRTY_ONE_BITS


class FlawedRecord(Record, frozen=True, gc=False, kw_only=True):
    """A record of which *unusable_fields* were there but unusable, and so taken as absent."""

    unusable_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be counted: *reason* is `id`, `number` or `shape`.

    *fingerprint* is of its raw content, so that the same row read twice is rejected once. *id* is
    None where that is what is wrong.
    """

    reason: str
    fingerprint: int
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CDRAnswer:
    """One decoded response: `errcode` 0 means that the rest holds.

    *total* is `total_number`, None where the PBX does not say. *rows* are in the PBX's order.
    """

    errcode: int
    errmsg: str | None = None
    total: int | None = None
    rows: Sequence[Record] = ()
    rejected: Sequence[Rejected] = ()
