"""The vendor's contract of the CDR list: which queries are allowed, and which values come back.

Rule: whatever "Query CDR List" of the P-Series Open API fixes is written here once, as data.
A `CDRQuery` outside the contract cannot be created, so none can be sent.

Source: the developer guide's pages "Query CDR List" and "Error Code and Error Message".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAX_PAGE_SIZE = 10_000
"""Rows; also the size of a page when the query has no `page_size`."""

SORT_FIELDS = (
    "id",
    "uid",
    "time",
    "duration",
    "ring_duration",
    "talk_duration",
    "disposition",
    "src_trunk",
    "dst_trunk",
    "call_type",
    "did_number",
    "dod_number",
    "src_addr",
)
SORT_DIRECTIONS = ("asc", "desc")

NEW, LEGACY = GENERATIONS = ("new", "legacy")
"""Which records: those written since the upgrade to firmware x.21.0.117 or later, which have no
`id`, or those from before. Older firmware ignores the parameter."""

DISPOSITIONS = ("ANSWERED", "NO ANSWER", "BUSY", "FAILED", "VOICEMAIL")
CALL_TYPES = ("Inbound", "Outbound", "Internal")

NumberRanges = tuple[tuple[str, str], ...]
"""First and last numbers, each of the same count of digits as the other."""

NUMBER_PLAN: Mapping[str, NumberRanges] = MappingProxyType(
    {
        "extension": (("1000", "5999"),),
        "parking": (("6000", "6099"),),
        "group_voicemail": (("6100", "6199"),),
        "ivr": (("6200", "6299"),),
        "ring_group": (("6300", "6399"),),
        "queue": (("6400", "6499"),),
        "conference": (("6500", "6599"),),
        "paging": (("6600", "6699"),),
        "machine": (),
    }
)
"""Which of the PBX's own numbers are what, as a P-Series PBX has them at first."""

SUCCESS = 0
FAILURE = -1
TOKEN_EXPIRED = 10004
DATA_NOT_FOUND = 60001


class QueryError(ValueError):
    """A query that the contract does not allow; it cannot be sent."""


@dataclass(frozen=True, slots=True)
class CDRQuery:
    """The query for one page of the CDR list; a parameter that is None is not sent.

    `page` counts from 1. Without `page_size` the PBX sends 10,000 rows, without `order_by` the
    oldest first, so the tail always sends these four. `from_` is the parameter `from` (a keyword
    of Python); which records newer firmware shows without it is not documented. Raises
    `QueryError` for a value that the contract does not allow.
    """

    page: int | None = None
    page_size: int | None = None
    sort_by: str | None = None
    order_by: str | None = None
    from_: str | None = None

    def __post_init__(self) -> None:
        _check_whole_number("page", self.page, None)
        _check_whole_number("page_size", self.page_size, MAX_PAGE_SIZE)
        _check_one_of("sort_by", self.sort_by, SORT_FIELDS)
        _check_one_of("order_by", self.order_by, SORT_DIRECTIONS)
        _check_one_of("from", self.from_, GENERATIONS)

    @property
    def parameters(self) -> dict[str, str]:
        """The fields of the query string, without the token."""
        fields = ("page", "page_size", "sort_by", "order_by", "from_")
        given = ((name.rstrip("_"), getattr(self, name)) for name in fields)
        return {name: str(value) for name, value in given if value is not None}

    @property
    def offset(self) -> int:
        """The number of rows of the sorted list before this page."""
        return ((self.page or 1) - 1) * self.limit

    @property
    def limit(self) -> int:
        """The largest number of rows that the answer may hold."""
        return self.page_size or MAX_PAGE_SIZE


def _check_whole_number(name: str, value: int | None, most: int | None) -> None:
    if value is None:
        return
    upper = f" to {most:,}" if most else " or more"
    if type(value) is not int or value < 1 or (most is not None and value > most):
        raise QueryError(f"{name}={value!r}: the contract takes a whole number from 1{upper}")


def _check_one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise QueryError(f"{name}={value!r}: the contract takes one of {', '.join(allowed)}")
