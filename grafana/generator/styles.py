"""The colour and the text of each value and series, the same in all dashboards.

Rule: a colour has one meaning in all panels, and can be seen in the dark and the light theme.
Colours by name are Grafana's own, which differ by theme.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GREEN, RED, BLUE, ORANGE, PURPLE, YELLOW, GREY, BROWN = (
    "green",
    "red",
    "blue",
    "orange",
    "purple",
    "yellow",
    "#808080",
    "#A0785A",
)
NEUTRAL, LIGHT, DARK = "text", "light-blue", "semi-dark-blue"
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
    "blocked": Style(BROWN, "Blocked"),
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

CALL_TYPE_STYLES: Styles = {
    "Inbound": Style(LIGHT),
    "Internal": Style(GREY),
    "Outbound": Style(DARK),
}

HALF, NINE_OF_TEN = "Half at most", "9 of 10 at most"
PERCENTILE_STYLES: Styles = {HALF: Style(LIGHT), NINE_OF_TEN: Style(DARK)}

ANSWERED_SHARE, IN_TIME_SHARE = "Answered", "Answered within 20 s"
SHARE_STYLES: Styles = {ANSWERED_SHARE: Style(GREEN), IN_TIME_SHARE: Style("dark-green")}

GAVE_UP_SOON, GAVE_UP_LATE = "Within 5 s", "After more than 5 s"
MISSED_STYLES: Styles = {GAVE_UP_SOON: Style(GREY), GAVE_UP_LATE: Style(RED)}

BEFORE, NOW = "A week before", "As shown"
WEEK_STYLES: Styles = {BEFORE: Style(GREY), NOW: Style(BLUE)}

REACHED_STYLES = {0: Style(RED, "Not reached"), 1: Style(GREEN, "Reached")}
ACCESS_STYLES = {0: Style(GREEN, "Let in"), 1: Style(RED, "Refused")}
WRITTEN_STYLES = {0: Style(RED, "Not written"), 1: Style(GREEN, "Written")}
KNOWN_TABLE_STYLES = {0: Style(GREEN, "As known"), 1: Style(RED, "Another")}

NO_EXPORTER = Style(RED, "No exporter")
NO_CALLS = Style(NEUTRAL, "No calls")
NONE_YET = Style(NEUTRAL, "None yet")
"""What stands in place of a number that does not exist."""
