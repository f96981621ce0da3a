"""What a client prefers, by its Accept and Accept-Encoding headers (RFC 9110, 12.5).

Both headers are lists of names with parameters; the parameter `q` is a weight from 0 to 1.
prometheus_client also can choose the format, but it ignores the weights: it would send OpenMetrics
to a client that asks for `text/plain;q=1, application/openmetrics-text;q=0.1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a header; its weight is 0 if it is not a number."""

    name: str
    version: str
    weight: float


def wants_openmetrics(accept: str) -> bool:
    """Say whether *accept* weighs OpenMetrics 1.0 at least as high as the text format 0.0.4."""
    entries = _entries(accept)
    openmetrics = max((e.weight for e in entries if _is_openmetrics(e)), default=0.0)
    return openmetrics > 0 and openmetrics >= _weight_of_text(entries)


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether *accept_encoding* allows gzip and weighs it at least as high as no coding."""
    weights = {entry.name: entry.weight for entry in _entries(accept_encoding)}
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight_of_text(entries: Sequence[_Entry]) -> float:
    """Return the weight of text/plain, from the most specific media range that matches it."""
    for media in ("text/plain", "text/*", "*/*"):
        weights = [entry.weight for entry in entries if entry.name == media]
        if weights:
            return max(weights)
    return 0.0


def _is_openmetrics(entry: _Entry) -> bool:
    return entry.name == "application/openmetrics-text" and entry.version in ("", "1.0.0")


def _entries(header: str) -> Sequence[_Entry]:
    return [_entry(part) for part in header.split(",")]


def _entry(part: str) -> _Entry:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = dict(pair.split("=", 1) for pair in parameters if "=" in pair)
    try:
        weight = float(given.get("q", "1"))
    except ValueError:
        weight = 0.0
    return _Entry(name, given.get("version", "").strip('"'), weight)
