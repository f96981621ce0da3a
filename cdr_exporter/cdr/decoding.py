"""One typed pass over an answer that keeps the contract; any other goes to `repair`."""

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
    """Decode one response body; raises `GarbledAnswer` when it is no answer at all."""
    try:
        answer = _contract_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if answer is None:
        # Out of the handler: its error holds text of the reply and would hang on to a Garbled.
        return decode_row_by_row(parse_json_object(body))
    return CDRAnswer(
        errcode=answer.errcode,
        errmsg=answer.errmsg,
        total=answer.total_number,
        rows=answer.data or (),
    )
