"""Pages of the CDR list that contradict the contract, or themselves.

Rule: a kind is a name and at most one value *n*, so that the control path can ask for it. It
changes the answer to one request, never the table.

    total-missing   there is no total_number
    total-small     total_number is one less than the rows sent
    total-large     total_number is ten times the true one, and a thousand
    total-offset    total_number is *n* off (never below 0)
    total-value     total_number is *n* itself, whatever JSON that is
    short           the page ends after *n* rows, total_number is the true one
    reversed        the rows are in the opposite order
    unordered       the first and the last row are swapped
    repeated-id     the second row has the id (or new_id) of the first
    repeated-row    the first row comes twice, the last not at all
    data-missing    there is no data; data-null: it is null; data-object: it is an object
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Body = dict[str, Any]
MalformPage = Callable[[Body, Any], Body]


def _total(change: Callable[[Body, Any], Any]) -> MalformPage:
    return lambda body, n: {**body, "total_number": change({"total_number": 0, **body}, n)}


def _data(change: Callable[[list[Any], Any], Any]) -> MalformPage:
    return lambda body, n: {**body, "data": change(body.get("data") or [], n)}


def _without(name: str) -> MalformPage:
    return lambda body, _: {field: body[field] for field in body if field != name}


def _unordered(rows: list[Any]) -> list[Any]:
    return [rows[-1], *rows[1:-1], rows[0]] if len(rows) > 1 else rows


def _repeated_id(rows: list[Any]) -> list[Any]:
    if len(rows) < 2 or not all(isinstance(row, dict) for row in rows[:2]):
        return rows
    named = {name: rows[0][name] for name in ("id", "new_id") if name in rows[0]}
    return [rows[0], {**rows[1], **named}, *rows[2:]]


PAGE_KINDS: dict[str, MalformPage] = {
    "total-missing": _without("total_number"),
    "total-small": _total(lambda body, _: max(0, len(body.get("data") or []) - 1)),
    "total-large": _total(lambda body, _: body["total_number"] * 10 + 1000),
    "total-offset": _total(lambda body, n: max(0, body["total_number"] + n)),
    "total-value": _total(lambda _, n: n),
    "short": _data(lambda rows, n: rows[:n]),
    "reversed": _data(lambda rows, _: rows[::-1]),
    "unordered": _data(lambda rows, _: _unordered(rows)),
    "repeated-id": _data(lambda rows, _: _repeated_id(rows)),
    "repeated-row": _data(lambda rows, _: [*rows[:1], *rows[:-1]]),
    "data-missing": _without("data"),
    "data-null": _data(lambda _rows, _: None),
    "data-object": _data(lambda _rows, _: {}),
}

NUMBERED = frozenset({"total-offset", "short"})
"""The kinds whose *n* has to be a whole number."""
