"""Charts as inline SVG: numbers in, text out. Pure.

Rule: a chart says in words what it shows: its label, which a screen reader reads and a mouse shows.
Its numbers stand beside it. Colours come from the style of the page, by class, since inline
styles are not allowed; positions are shares of the width, so that nothing is cut off or distorted
at any width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from ..calls import OUTCOMES

OUTCOME_WORDS: Mapping[str, str] = {
    "answered": "Answered",
    "voicemail": "Voicemail",
    "no_answer": "No answer",
    "busy": "Busy",
    "blocked": "Blocked",
    "failed": "Failed",
    "machine": "Machine only",
    "unknown": "Unknown",
}
"""How outcomes are called, as on the dashboards."""

HATCH = (
    '<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect class="hatch" width="2" height="6"/></pattern>'
    "</defs></svg>"
)
"""What `bar` hatches with; it stands once on a page that has bars."""

_COLUMN, _GAP, _SPARK_HEIGHT = 10, 4, 28


def bar(by_outcome: Mapping[str, int], largest: int, *, hatched: bool = False) -> str:
    """Return a bar of calls *by_outcome*, as wide as all the room where there are *largest* calls.

    *hatched* marks a time in which the PBX was not reached; the hatching shows below the bar, too.
    """
    parts = [(outcome, by_outcome[outcome]) for outcome in OUTCOMES if by_outcome.get(outcome)]
    words = ", ".join(f"{count:,} {OUTCOME_WORDS[outcome].lower()}" for outcome, count in parts)
    shapes = ['<rect class="unreached" width="100%" height="100%"/>'] if hatched else []
    height, x = "60%" if hatched else "100%", 0.0
    for outcome, count in parts:
        width = 100 * count / max(1, largest)
        shapes.append(
            f'<rect class="{outcome}" x="{x:.2f}%" width="{width:.2f}%" height="{height}"/>'
        )
        x += width
    return _svg("bar", words or "no calls", "".join(shapes))


def progress(share: float, words: str) -> str:
    """Return a bar that is filled by *share* (0 to 1)."""
    return _svg("bar", words, f'<rect class="done" width="{100 * share:.1f}%" height="100%"/>')


def columns(counts: Sequence[tuple[int, int]], words: str) -> str:
    """Return a small chart: a column for each of *counts*, which are (all, those of them to fill).

    Of a count of 0 the base line is left.
    """
    largest = max([1, *(whole for whole, _ in counts)])
    shapes = []
    for number, (whole, part) in enumerate(counts):
        x = number * (_COLUMN + _GAP)
        for style, count in (("rest", whole), ("answered", part)):
            height = _SPARK_HEIGHT * count / largest
            shapes.append(
                f'<rect class="{style}" x="{x}" y="{_SPARK_HEIGHT - height:.1f}" '
                f'width="{_COLUMN}" height="{height:.1f}"/>'
            )
        shapes.append(
            f'<rect class="base" x="{x}" y="{_SPARK_HEIGHT}" width="{_COLUMN}" height="1"/>'
        )
    width, height = len(counts) * (_COLUMN + _GAP) - _GAP, _SPARK_HEIGHT + 1
    return _svg("spark", words, "".join(shapes), f' width="{width}" height="{height}"')


def _svg(style: str, words: str, shapes: str, size: str = "") -> str:
    words = escape(words)
    return (
        f'<svg class="{style}"{size} role="img" aria-label="{words}">'
        f"<title>{words}</title>{shapes}</svg>"
    )
