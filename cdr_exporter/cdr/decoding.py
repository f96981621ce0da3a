"""JSON to a `CDRAnswer`: one typed pass where it keeps to the contract, else `repair`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .record import MAX_ID, CDRAnswer, Record
from .repair import decode_row_by_row, parse_json_object


class _Envelope(Struct, gc=False):
    errcode: Annotated[int, Meta(ge=-(2**31), lt=2**31)]
    errmsg: str | None = None
    total_number: Annotated[int, Meta(ge=0, le=MAX_ID)] | None = None
    data: list[Record] | None = None


_contract_decoder = msgspec.json.Decoder(_Envelope)


def decode(body: bytes) -> CDRAnswer:
    """Decode the body of one response; raises `GarbledAnswer` when nothing of it can be used."""
    try:
        answer = _contract_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if answer is None:
        # Outside the `except`: msgspec's error quotes the answer, and a GarbledAnswer raised
        # inside would keep it as its context.
        return decode_row_by_row(parse_json_object(body))
    return CDRAnswer(
        errcode=answer.errcode,
        errmsg=answer.errmsg,
        total=answer.total_number,
        rows=answer.data or (),
    )
