"""Decodes an answer that departs from the contract, and keeps what can be used of it.

Rule: one bad field does not cost its row, and one bad row does not cost its page. Only where the
envelope itself is unusable is the whole answer dropped (`GarbledAnswer`).

Memory: the places of the values are looked up in the answer, row by row, and only the fields of
the contract are decoded, texts cut before that. So it takes little more than the records it
returns, whatever the answer holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import msgspec

from .contract import SUCCESS
from .record import (
    LATEST,
    LONGEST_SECONDS,
    LONGEST_TEXT,
    LONGEST_UID,
    MAX_ID,
    THIRTY_ONE_BITS,
    CDRAnswer,
    FlawedRecord,
    GarbledAnswer,
    Record,
    Rejected,
)
from .scanner import NotJSON, Scanner, Value
from .values import is_whole, parse_number, parse_string, parse_value

_ENVELOPE = ("errcode", "errmsg", "total_number", "data")


class _BadNumber(ValueError):
    """A number that is not whole (1.5, NaN): the whole row is rejected."""


class _BadField(ValueError):
    """A value that the field cannot have: the field is taken as absent."""


def decode_row_by_row(body: bytes, most_rows: int) -> CDRAnswer:
    """Decode *body* row by row and field by field; raises `GarbledAnswer`.

    It does so, too, as soon as more than *most_rows* rows are found. With an errcode other than 0
    the rest of the answer is not looked at.
    """
    try:
        return _LenientAnswer(body, Scanner(body)).decode(most_rows)
    except NotJSON:
        pass
    return _LenientAnswer(body, Scanner(body, guess=True)).decode(most_rows)


def read_object(body: bytes, names: Collection[str]) -> dict[str, object]:
    """Return those members of the JSON object in *body* that have one of *names*.

    Lenient as `Scanner` and `parse_value` are, but no text is cut; raises `GarbledAnswer`.
    """
    members = _LenientAnswer(body, Scanner(body)).members_of_whole(names)
    return {name: parse_value(body, place, len(body)) for name, place in members.items()}


def errcode_of(value: object) -> int:
    """Return the errcode of an answer; raises `GarbledAnswer` for what is no 32-bit number."""
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise GarbledAnswer("the answer has no errcode, so it is not the PBX's")
    return value


class _LenientAnswer:
    """The answer *body*, read by *scanner*."""

    def __init__(self, body: bytes, scanner: Scanner) -> None:
        self._body = body
        self._scanner = scanner

    def decode(self, most_rows: int) -> CDRAnswer:
        places = self.members_of_whole(_ENVELOPE)
        errcode = errcode_of(self._value(places.get("errcode")))
        errmsg = self._value(places.get("errmsg"))
        errmsg = errmsg if isinstance(errmsg, str) else None
        if errcode != SUCCESS:
            return CDRAnswer(errcode=errcode, errmsg=errmsg)
        total = _parse_total(self._value(places.get("total_number")))
        decoded = self._rows(places.get("data"), most_rows)
        return CDRAnswer(
            errcode=errcode,
            errmsg=errmsg,
            total=total,
            rows=[row for row in decoded if isinstance(row, Record)],
            rejected=[row for row in decoded if isinstance(row, Rejected)],
        )

    def members_of_whole(self, names: Collection[str]) -> dict[str, Value]:
        whole = self._scanner.whole()
        if not self._starts_with(whole, b"{"):
            raise GarbledAnswer("the answer is not a JSON object")
        return self._members(whole, names)

    def _members(self, place: Value, names: Collection[str]) -> dict[str, Value]:
        # Only those asked for: there may be a million others.
        return {
            name: value
            for name_place, value in self._scanner.members(place)
            if (name := parse_string(self._body, name_place)) in names
        }

    def _value(self, place: Value | None, longest: int = LONGEST_TEXT) -> object:
        return None if place is None else parse_value(self._body, place, longest)

    def _starts_with(self, place: Value, bracket: bytes) -> bool:
        return self._body.startswith(bracket, place.start)

    def _rows(self, data: Value | None, most_rows: int) -> list[Record | Rejected]:
        if self._is_empty(data):
            return []
        if data is None or not self._starts_with(data, b"["):
            raise GarbledAnswer("the answer's data is not a list")
        rows: list[Record | Rejected] = []
        for place in self._scanner.items(data):
            if len(rows) == most_rows:
                raise GarbledAnswer(f"more rows came than the {most_rows} asked for")
            rows.append(self._row(place))
        return rows

    def _is_empty(self, data: Value | None) -> bool:
        """Return whether *data* is nothing, blank, or an object without members.

        In some languages an empty list and an empty object are one.
        """
        if data is not None and self._starts_with(data, b"{"):
            return self._scanner.is_empty(data)
        return self._value(data) in (None, "")

    def _row(self, place: Value) -> Record | Rejected:
        if not self._starts_with(place, b"{"):
            content = memoryview(self._body)[slice(*place)]
            return Rejected("shape", _fingerprint(zlib.crc32(content), len(content)))
        members = self._members(place, _ROW)
        try:
            row_id = _parse_integer(self._value(members.get("id")), 1, MAX_ID)
        except (_BadNumber, _BadField):
            return self._reject("id", place)
        try:
            values, unusable_fields = self._fields(members)
        except _BadNumber:
            return self._reject("number", place, row_id)
        if unusable_fields:
            return FlawedRecord(id=row_id or 0, unusable_fields=unusable_fields, **values)
        return Record(id=row_id or 0, **values)

    def _fields(self, members: dict[str, Value]) -> tuple[dict[str, Any], tuple[str, ...]]:
        values, unusable_fields = {}, []
        for name, (attribute, parse) in _FIELD_PARSERS.items():
            try:
                longest = LONGEST_UID if name == "uid" else LONGEST_TEXT
                value = parse(self._value(members.get(name), longest))
            except _BadField:
                unusable_fields += [name] if name in FIELDS else []
            else:
                if value is not None:
                    values[attribute] = value
        return values, tuple(unusable_fields)

    def _reject(self, reason: str, place: Value, row_id: int | None = None) -> Rejected:
        """Reject the row; the order of its members makes no difference to its fingerprint."""
        view = memoryview(self._body)
        size, total = 0, 0
        for name, value in self._scanner.members(place):
            size += value.end - value.start
            total += zlib.crc32(view[slice(*value)], zlib.crc32(view[slice(*name)]))
        return Rejected(reason, _fingerprint(total, size), row_id)


def _fingerprint(checksum: int, size: int) -> int:
    return (checksum & 0xFFFF_FFFF) << 31 | size & THIRTY_ONE_BITS


def _parse_total(value: object) -> int | None:
    try:
        return _parse_integer(value, 0, MAX_ID)
    except (_BadNumber, _BadField):
        raise GarbledAnswer("the answer's total_number is not a whole number") from None


def _parse_integer(value: object, least: int, most: int) -> int | None:
    """Return a whole number from *least* to *most*, sent as a number or as its digits in quotes.

    None, as for a missing field, where it is null or blank. Raises `_BadNumber` or `_BadField`.
    """
    if value is None or value == "":
        return None
    if type(value) is Decimal and not is_whole(value):
        raise _BadNumber
    if type(value) is str:
        value = parse_number(value.strip())
    if type(value) is not int or not least <= value <= most:
        raise _BadField
    return value


def _parse_text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise _BadField
    return value


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
TEXTS = tuple(attribute for attribute, parse in _FIELD_PARSERS.values() if parse is _parse_text)
"""The attributes of a `Record` that are texts."""

_ROW = {"id", *_FIELD_PARSERS}
FIELDS = tuple(name for name in _FIELD_PARSERS if name not in ("new_id", "call_to_number"))
"""The fields that can be taken as absent, by their names in the contract.

They are label values of `cdr_exporter_rejected_fields_total`.
"""
