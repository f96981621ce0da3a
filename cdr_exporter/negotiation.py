"""Which text format a client wants, by its Accept header.

prometheus_client's own choice ignores the weights, so `text/plain;q=1, …openmetrics…;q=0.1` would
get OpenMetrics from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Accepted:
    """One entry of an Accept header."""

    media: str
    version: str
    weight: float


def wants_openmetrics(accept: str) -> bool:
    """Say whether an Accept header likes OpenMetrics 1.0 at least as well as the old text."""
    entries = [_accepted(part) for part in accept.split(",")]
    openmetrics = max((e.weight for e in entries if _is_openmetrics(e)), default=0.0)
    return openmetrics > 0 and openmetrics >= _weight_of_text(entries)


def _weight_of_text(entries: Sequence[_Accepted]) -> float:
    """Return how much the old text is liked: the most precise range speaks for it."""
    for media in ("text/plain", "text/*", "*/*"):
        weights = [entry.weight for entry in entries if entry.media == media]
        if weights:
            return max(weights)
    return 0.0


def _is_openmetrics(entry: _Accepted) -> bool:
    return entry.media == "application/openmetrics-text" and entry.version in ("", "1.0.0")


def _accepted(part: str) -> _Accepted:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = dict(pair.split("=", 1) for pair in parameters if "=" in pair)
    try:
        weight = float(given.get("q", "1"))
    except ValueError:
        weight = 0.0
    return _Accepted(media, given.get("version", "").strip('"'), weight)
