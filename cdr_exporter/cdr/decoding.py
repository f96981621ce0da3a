"""JSON to a `CDRAnswer`: one typed pass where it keeps to the contract, else `repair`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from .contract import MAX_PAGE_SIZE
from .record import LONGEST_TEXT, MAX_ID, CDRAnswer, GarbledAnswer, Record
from .repair import TEXTS, decode_row_by_row

_ENVELOPE_BYTES, _ROW_BYTES, _LARGEST_BYTES = 64 << 10, 4 << 10, 4 << 20

_TYPED_SHARE, _OBJECTS_PER_ROW = 24, 8
"""See `_may_be_typed`."""


class _Envelope(Struct, gc=False):
    errcode: Annotated[int, Meta(ge=-(2**31), lt=2**31)]
    errmsg: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    total_number: Annotated[int, Meta(ge=0, le=MAX_ID)] | None = None
    data: list[Record] | None = None


_contract_decoder = msgspec.json.Decoder(_Envelope)


def largest_answer(rows: int) -> int:
    """Return the bytes that an answer of so many rows may have; 0 is an answer without a list.

    Rows of the contract have about 400 bytes. `decode` takes at most three times as much memory,
    and about a second of processor time for 2 MiB of the worst: nothing of it can be stopped.
    """
    return min(_ENVELOPE_BYTES + rows * _ROW_BYTES, _LARGEST_BYTES)


def decode(body: bytes, most_rows: int = MAX_PAGE_SIZE) -> CDRAnswer:
    """Decode the body of one response; raises `GarbledAnswer` when nothing of it can be used.

    So it is when it has more than *most_rows* rows, as many as were asked for.
    """
    answer = _decode_typed(body) if _may_be_typed(body, most_rows) else None
    if answer is None:
        return decode_row_by_row(body, most_rows)
    rows = answer.data or ()
    if len(rows) > most_rows:
        raise GarbledAnswer(f"more rows came than the {most_rows} asked for")
    return CDRAnswer(
        errcode=answer.errcode,
        errmsg="" if answer.errmsg and answer.errmsg.isspace() else answer.errmsg,
        total=answer.total_number,
        rows=_without_blank_texts(rows) if _may_have_blank_texts(body) else rows,
    )


def _decode_typed(body: bytes) -> _Envelope | None:
    # None instead of an error: msgspec's quotes the answer, and would become the context of others.
    try:
        return _contract_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _may_be_typed(body: bytes, most_rows: int) -> bool:
    """Return whether the typed pass takes at most three times `largest_answer`, at the worst.

    It takes 60 times the body where that is nothing but `{},{},…`, and 5 times where it is one
    long text with a character of four bytes.
    """
    largest = largest_answer(most_rows)
    if len(body) <= largest // _TYPED_SHARE:
        return True
    return 5 * len(body) <= 3 * largest and body.count(b"{") <= _OBJECTS_PER_ROW * (most_rows + 1)


_WHITE_SPACE = (b"\\", b"\xc2", b"\xe1", b"\xe2", b"\xe3", b'" ')
"""What JSON with a text of nothing but white space has: an escaped character, the first byte of one
in UTF-8, or a blank at the beginning of a text."""


def _may_have_blank_texts(body: bytes) -> bool:
    """Say whether *body* may have a text of nothing but white space. Mostly it has none."""
    return any(each in body for each in _WHITE_SPACE)


def _without_blank_texts(rows: Sequence[Record]) -> Sequence[Record]:
    """Return *rows* with blank texts emptied."""
    return [_without_blanks(row) for row in rows]


def _without_blanks(row: Record) -> Record:
    blank = {name: "" for name in TEXTS if getattr(row, name).isspace()}
    return replace(row, **blank) if blank else row
