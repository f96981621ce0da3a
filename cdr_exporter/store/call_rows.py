"""The calls of a state as rows: open ones with their legs, and closed ones.

The content of a row is [legs, since]. *legs* is the list of legs while the call is open, and since
is when the newest was seen (reachable time, seconds). Otherwise *legs* is `counted` or `passed`,
and since is when the call was closed (reachable time, too).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from ..calls import CallChange, ClosedCall, Leg, OpenCall, TrackedCalls
from .checked_rows import ChangedRows
from .schema import CALLS

_COUNTED, _PASSED = "counted", "passed"

_Content = tuple[Literal["counted", "passed"] | tuple[Leg, ...], float]

_contents = msgspec.json.Decoder(_Content)
_json = msgspec.json.encode


def read(rows: Mapping[str, bytes]) -> TrackedCalls:
    """Return the calls in *rows*; raises msgspec's errors where a row makes no sense."""
    opened: dict[str, OpenCall] = {}
    closed: dict[str, ClosedCall] = {}
    contents = [(uid, *_contents.decode(content)) for uid, content in rows.items()]
    # Closed calls are forgotten in the order in which they were closed.
    for uid, legs, since in sorted(contents, key=lambda each: each[2]):
        if isinstance(legs, str):
            closed[uid] = ClosedCall(since, counted=legs == _COUNTED)
        else:
            opened[uid] = OpenCall.of(legs, since)
    return TrackedCalls(opened, closed)


def write(rows: ChangedRows, change: CallChange) -> None:
    """Write *change* to *rows*."""
    rows.delete(CALLS, change.forgotten)
    rows.put(CALLS, _rows(change))


def _rows(change: CallChange) -> Iterator[tuple[str, bytes]]:
    for uid, call in change.opened.items():
        yield uid, _json((call.legs, call.last_seen))
    for uid, closed in change.closed.items():
        yield uid, _json((_COUNTED if closed.counted else _PASSED, closed.closed_at))
