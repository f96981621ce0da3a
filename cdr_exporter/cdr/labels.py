"""Which label values a CDR is counted under: always from a closed or bounded set.

Rule: two trunks never get the same label, and every label is valid UTF-8 of bounded length.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import NamedTuple

from .contract import CALL_TYPES, DISPOSITIONS
from .record import Record

NO_TRUNK = "none"
"""The trunk label of a row without a trunk; to Prometheus an empty label is no label."""

OTHER_TRUNK = "other"
"""The trunk label of rows beyond `max_trunks`."""

OTHER_DISPOSITION, OTHER_CALL_TYPE = "OTHER", "Other"
"""The labels of values that are not in the contract."""

LONGEST_TRUNK = 128
"""Bytes of UTF-8."""

_RESERVED = {NO_TRUNK, OTHER_TRUNK}
_MARKED = re.compile(r"~[0-9a-f]{8}\Z")
# Control characters, line and paragraph separators, and marks that change the reading direction.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Labels(NamedTuple):
    """The labels of a row; *unknown* names the fields whose value was not in the contract.

    *came_in_by* is the label of the trunk by which the leg came in, empty where it came in by
    none; *leaves* says whether it goes out to somebody outside.
    """

    disposition: str
    call_type: str
    trunk: str
    unknown: tuple[str, ...] = ()
    came_in_by: str = ""
    leaves: bool = False


def _fold(value: str) -> str:
    """Return *value* so that spellings seen in the field match: `no_answer`, `NOANSWER`."""
    return re.sub(r"[\s_-]", "", value).casefold()


SPELLINGS_IN_THE_FIELD = {
    "ABANDONED": "NO ANSWER",
    "NO ANSWERED": "NO ANSWER",
    "ANSWERD": "ANSWERED",
}
"""Dispositions that PBXs and the vendor's own examples write in other words than the contract."""

_DISPOSITIONS = {_fold(name): name for name in DISPOSITIONS}
_DISPOSITIONS |= {_fold(seen): name for seen, name in SPELLINGS_IN_THE_FIELD.items()}
_CALL_TYPES = {_fold(name): name for name in CALL_TYPES}


def labels_of(record: Record) -> Labels:
    """Return the labels of *record*; blanks around a disposition or call type make no difference.

    The trunk is the one the call went through: of an outbound call the destination's, of any
    other the source's, and the other one where that is empty.
    """
    return labels_of_fields(
        record.disposition, record.call_type, record.src_trunk, record.dst_trunk
    )


@lru_cache(maxsize=4096)
def labels_of_fields(disposition: str, call_type: str, src_trunk: str, dst_trunk: str) -> Labels:
    """Return the labels of a row with these fields, as `labels_of` does."""
    known_disposition = _DISPOSITIONS.get(_fold(disposition))
    known_type = _CALL_TYPES.get(_fold(call_type))
    first, second = (dst_trunk, src_trunk) if known_type == "Outbound" else (src_trunk, dst_trunk)
    unknown = (("disposition", known_disposition), ("call_type", known_type))
    return Labels(
        known_disposition or OTHER_DISPOSITION,
        known_type or OTHER_CALL_TYPE,
        trunk_label(first or second),
        tuple(field for field, known in unknown if known is None),
        trunk_label(src_trunk) if _comes_in(known_type, src_trunk, dst_trunk) else "",
        _leaves(known_type, src_trunk, dst_trunk),
    )


def _comes_in(call_type: str | None, src_trunk: str, dst_trunk: str) -> bool:
    # An Outbound row that names only a source has the trunk that it left by there.
    return bool(src_trunk) and (call_type != "Outbound" or bool(dst_trunk))


def _leaves(call_type: str | None, src_trunk: str, dst_trunk: str) -> bool:
    # An Inbound row that names only a destination has the trunk that it came in by there.
    if call_type == "Inbound" and not src_trunk:
        return False
    return call_type == "Outbound" or bool(dst_trunk)


def trunk_label(name: str) -> str:
    """Return the label of the trunk *name*: the name itself, or a safe form that ends in a hash.

    A name that already ends like such a hash gets one, too, so that no two names share a label.
    """
    if not name:
        return NO_TRUNK
    clean = _UNSAFE.sub("\ufffd", name)
    encoded = clean.encode()
    if (
        clean == name
        and len(encoded) <= LONGEST_TRUNK
        and name not in _RESERVED
        and not _MARKED.search(name)
    ):
        return name
    suffix = f"~{zlib.crc32(name.encode('utf-8', 'surrogatepass')):08x}"
    return encoded[: LONGEST_TRUNK - len(suffix)].decode("utf-8", "ignore") + suffix
