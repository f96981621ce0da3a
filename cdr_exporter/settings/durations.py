"""Durations as Prometheus writes them: `30s`, `5m`, `1h30m`, `100ms`.

Rule: whole numbers, each with a unit; units from large to small, each once. A number without a
unit is refused, not guessed, and a message never quotes what was written.

Source: "Duration literals" in the configuration reference of Prometheus.
"""

from __future__ import annotations

import re

_MILLISECONDS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
# Nine digits are more than anybody needs, and keep the sum precise to the millisecond as a float.
# `$` would accept a line break at the end, so every pattern here is used with `fullmatch`.
_NUMBER = r"[0-9]{1,9}"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in _MILLISECONDS))
_ANY_UNITS = r"(?:[0-9]+(?:ms|[ywdhms]))+"
_COMPLAINTS = (
    (r"[0-9.]+", "has no unit; write 30s for thirty seconds"),
    (r"[-+].*", "has a sign; write it as 30s, 5m or 1h30m"),
    (r".*[0-9]{10}.*", "has a number of more than nine digits; write it with a larger unit"),
    (_ANY_UNITS, "has its units out of order; write large to small, each once, as in 1h30m"),
    (r"[0-9ywdhms]*[0-9]\.[0-9].*", "has a fraction; write whole numbers, as in 1h30m"),
)
_COMPLAINT = "is not a duration; write it as 30s, 5m or 1h30m (y, w, d, h, m, s, ms)"


def parse_duration(text: str) -> float:
    """Return seconds; raises a `ValueError` that says what is wrong and what to write."""
    numbers = _DURATION.fullmatch(text)
    if not text or numbers is None:
        raise ValueError(_complaint(text))
    sizes = zip(numbers.groups(default="0"), _MILLISECONDS.values(), strict=True)
    return sum(int(number) * size for number, size in sizes) / 1000


def format_duration(seconds: float) -> str:
    """Write *seconds*, to the millisecond, in the shortest form that `parse_duration` reads."""
    rest = round(seconds * 1000)
    if rest < 0:
        raise ValueError("a duration is not below zero")
    parts = []
    for unit, size in _MILLISECONDS.items():
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _complaint(text: str) -> str:
    matching = (words for pattern, words in _COMPLAINTS if re.fullmatch(pattern, text, re.DOTALL))
    return next(matching, _COMPLAINT)
