"""The colour and the text of each value and series, the same in all dashboards.

Rule: a colour has one meaning in all panels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GREEN, RED, BLUE, ORANGE, PURPLE, YELLOW, GREY = (
    "green",
    "red",
    "blue",
    "orange",
    "purple",
    "yellow",
    "#808080",
)
NEUTRAL, LIGHT, DARK = "text", "#8FA3BF", "#4A6A94"
"""For numbers that are neither good nor bad, and two shades for two series of one kind."""


class Style(NamedTuple):
    """How a value or series is shown: its *color*, and a *text* in place of its label, if any."""

    color: str
    text: str = ""


Styles = Mapping[str, Style]
"""By the value of a label, or by the legend of a query."""

OUTCOME_STYLES: Styles = {
    "answered": Style(GREEN, "Answered"),
    "voicemail": Style(BLUE, "Voicemail"),
    "no_answer": Style(RED, "No answer"),
    "busy": Style(ORANGE, "Busy"),
    "blocked": Style("#5C4033", "Blocked"),
    "failed": Style(PURPLE, "Failed"),
    "machine": Style(YELLOW, "Machine only"),
    "unknown": Style(GREY, "Unknown"),
}

DISPOSITION_STYLES: Styles = {
    "ANSWERED": Style(GREEN),
    "VOICEMAIL": Style(BLUE),
    "NO ANSWER": Style(RED),
    "BUSY": Style(ORANGE),
    "FAILED": Style(PURPLE),
    "OTHER": Style(GREY),
}
"""The spelling is that of the PBX."""

WITHIN_HALF, WITHIN_90_PERCENT = "half within", "9 of 10 within"
PERCENTILE_STYLES: Styles = {WITHIN_HALF: Style(LIGHT), WITHIN_90_PERCENT: Style(DARK)}

ANSWERED_SHARE, IN_TIME_SHARE = "Answered", "Answered within 20 s"
SHARE_STYLES: Styles = {ANSWERED_SHARE: Style(GREEN), IN_TIME_SHARE: Style("dark-green")}

GAVE_UP_SOON, GAVE_UP_LATE = "Within 5 s", "After more than 5 s"
MISSED_STYLES: Styles = {GAVE_UP_SOON: Style("light-red"), GAVE_UP_LATE: Style(RED)}

NOW, BEFORE = "As shown", "A week before"
WEEK_STYLES: Styles = {NOW: Style(DARK), BEFORE: Style("#C0C8D4")}

REACHED_STYLES = {0: Style(RED, "Not reached"), 1: Style(GREEN, "Reached")}
ACCESS_STYLES = {0: Style(GREEN, "Let in"), 1: Style(RED, "Kept out")}
WRITTEN_STYLES = {0: Style(RED, "Not written"), 1: Style(GREEN, "Written")}
KNOWN_TABLE_STYLES = {0: Style(GREEN, "As known"), 1: Style(RED, "Another")}
