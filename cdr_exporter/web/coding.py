"""Whether a client takes gzip, by its Accept-Encoding header (RFC 9110, 12.5.3)."""

from __future__ import annotations


def accepts_gzip(accept_encoding: str) -> bool:
    """Say whether gzip is allowed, and liked at least as well as the text as it is."""
    weights = dict(_weighted(part) for part in accept_encoding.split(","))
    anything = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", anything))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weighted(part: str) -> tuple[str, float]:
    coding, *parameters = (piece.strip().lower() for piece in part.split(";"))
    given = dict(pair.split("=", 1) for pair in parameters if "=" in pair)
    try:
        return coding, float(given.get("q", "1"))
    except ValueError:
        return coding, 0.0
