"""Decodes an answer that departs from the contract, and keeps what can be used of it.

Rule: one bad field does not cost its row, and one bad row does not cost its page. Only where the
envelope itself is unusable is the whole answer dropped (`GarbledAnswer`).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from .contract import SUCCESS
from .record import (
    LATEST,
    LONGEST_SECONDS,
    MAX_ID,
    THIRTY_ONE_BITS,
    CDRAnswer,
    FlawedRecord,
    GarbledAnswer,
    Record,
    Rejected,
)


class _BadNumber(ValueError):
    """A number that is not an integer (1.5, NaN): the whole row is rejected."""


class _BadField(ValueError):
    """A value that the field cannot have: the field is taken as absent."""


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in *body*, parsed leniently; raises `GarbledAnswer`."""
    # The standard library accepts lone surrogates and NaN, which msgspec refuses. Its errors hold
    # the whole answer, so none of them leaves this function, not even as a context.
    try:
        value = json.loads(body.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError):
        value = None
    if type(value) is not dict:
        raise GarbledAnswer("the answer is not a JSON object")
    return value


def decode_row_by_row(answer: dict[str, Any]) -> CDRAnswer:
    """Decode *answer* row by row and field by field; raises `GarbledAnswer`.

    With an errcode other than 0 the rest of the answer is not looked at.
    """
    errcode, total, data = answer.get("errcode"), answer.get("total_number"), answer.get("data")
    if type(errcode) is not int:
        raise GarbledAnswer("the answer has no errcode, so it is not the PBX's")
    errmsg = answer.get("errmsg")
    errmsg = _parse_text(errmsg) if isinstance(errmsg, str) else None
    if errcode != SUCCESS:
        return CDRAnswer(errcode=errcode, errmsg=errmsg)
    if data is not None and type(data) is not list:
        raise GarbledAnswer("the answer's data is not a list")
    decoded = [_parse_row(raw) for raw in data or ()]
    return CDRAnswer(
        errcode=errcode,
        errmsg=errmsg,
        total=_parse_total(total),
        rows=[row for row in decoded if isinstance(row, Record)],
        rejected=[row for row in decoded if isinstance(row, Rejected)],
    )


def _parse_total(value: object) -> int | None:
    try:
        return _parse_integer(value, 0, MAX_ID)
    except (_BadNumber, _BadField):
        raise GarbledAnswer("the answer's total_number is not a whole number") from None


def _parse_row(raw: object) -> Record | Rejected:
    if type(raw) is not dict:
        return _reject("shape", raw)
    try:
        row_id = _parse_integer(raw.get("id"), 1, MAX_ID)
    except (_BadNumber, _BadField):
        return _reject("id", raw)
    try:
        values, unusable_fields = _parse_fields(raw)
    except _BadNumber:
        return _reject("number", raw, row_id)
    if unusable_fields:
        return FlawedRecord(id=row_id or 0, unusable_fields=unusable_fields, **values)
    return Record(id=row_id or 0, **values)


def _parse_fields(raw: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    values, unusable_fields = {}, []
    for name, (attribute, parse) in _FIELD_PARSERS.items():
        try:
            value = parse(raw.get(name))
        except _BadField:
            unusable_fields += [name] if name in FIELDS else []
        else:
            if value is not None:
                values[attribute] = value
    return values, tuple(unusable_fields)


def _parse_integer(value: object, least: int, most: int) -> int | None:
    """Return an integer from *least* to *most*, sent as a number or as digits.

    None, as for a missing field, where it is null or empty. Raises `_BadNumber` or `_BadField`.
    """
    if value is None or value == "":
        return None
    if type(value) is float:
        raise _BadNumber
    if type(value) is str and value.isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise _BadField
    return value


def _parse_text(value: object) -> str | None:
    if value is None:
        return None
    if type(value) is not str:
        raise _BadField
    # A lone surrogate cannot be encoded, neither for SQLite nor for a scrape. It is written out
    # as an escape, not replaced by one character, so that two trunk names stay different.
    return value.encode("utf-8", "backslashreplace").decode()


def _parse_seconds(value: object) -> int | None:
    return _parse_integer(value, 0, LONGEST_SECONDS)


def _parse_epoch(value: object) -> int | None:
    return _parse_integer(value, 0, LATEST)


_INTEGER_PARSERS: dict[str, Callable[[object], int | None]] = {
    "timestamp": _parse_epoch,
    "duration": _parse_seconds,
    "ring_duration": _parse_seconds,
    "talk_duration": _parse_seconds,
}
_FIELD_PARSERS: dict[str, tuple[str, Callable[[object], int | str | None]]] = {
    f.encode_name: (f.name, _INTEGER_PARSERS.get(f.encode_name, _parse_text))
    for f in msgspec.structs.fields(Record)
    if f.name != "id"
}
FIELDS = tuple(name for name in _FIELD_PARSERS if name != "new_id")
"""The fields that can be taken as absent, by their names in the contract.

They are label values of `cdr_exporter_rejected_fields_total`.
"""


def _reject(reason: str, raw: object, row_id: int | None = None) -> Rejected:
    try:
        content = json.dumps(raw, sort_keys=True, skipkeys=True).encode()
    except RecursionError:
        raise GarbledAnswer("a row of the answer is nested too deep") from None
    return Rejected(reason, zlib.crc32(content) << 31 | len(content) & THIRTY_ONE_BITS, row_id)
