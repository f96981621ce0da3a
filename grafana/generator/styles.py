"""What stands for what, in every panel of every dashboard.

Rule: a colour means one thing. Who has learned it once can read every panel.
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
"""For numbers that are neither good nor bad; the two shades tell a half from nine of ten."""


class Meaning(NamedTuple):
    """The *color* of a series, and what it is called where its label is no word for people."""

    color: str
    shown: str = ""


Meanings = Mapping[str, Meaning]
"""By the value of a label, or by the legend."""

OUTCOMES: Meanings = {
    "answered": Meaning(GREEN, "Answered"),
    "voicemail": Meaning(BLUE, "Voicemail"),
    "no_answer": Meaning(RED, "No answer"),
    "busy": Meaning(ORANGE, "Busy"),
    "failed": Meaning(PURPLE, "Failed"),
    "machine": Meaning(YELLOW, "Machine only"),
    "unknown": Meaning(GREY, "Unknown"),
}

DISPOSITIONS: Meanings = {
    "ANSWERED": Meaning(GREEN),
    "VOICEMAIL": Meaning(BLUE),
    "NO ANSWER": Meaning(RED),
    "BUSY": Meaning(ORANGE),
    "FAILED": Meaning(PURPLE),
    "OTHER": Meaning(GREY),
}
"""As the PBX writes them."""

HALF, MOST = "half within", "9 of 10 within"
TIMES: Meanings = {HALF: Meaning(LIGHT), MOST: Meaning(DARK)}

ANSWERED_SHARE, IN_TIME_SHARE = "Answered", "Answered within 20 s"
SHARES: Meanings = {ANSWERED_SHARE: Meaning(GREEN), IN_TIME_SHARE: Meaning("dark-green")}

GAVE_UP_SOON, GAVE_UP_LATE = "Within 5 s", "After more than 5 s"
MISSED: Meanings = {GAVE_UP_SOON: Meaning("light-red"), GAVE_UP_LATE: Meaning(RED)}

NOW, BEFORE = "As shown", "A week before"
WEEKS: Meanings = {NOW: Meaning(DARK), BEFORE: Meaning("#C0C8D4")}

REACHED = {0: Meaning(RED, "Not reached"), 1: Meaning(GREEN, "Reached")}
LET_IN = {0: Meaning(GREEN, "Let in"), 1: Meaning(RED, "Kept out")}
WRITABLE = {0: Meaning(RED, "Not written"), 1: Meaning(GREEN, "Written")}
KNOWN_TABLE = {0: Meaning(GREEN, "As known"), 1: Meaning(RED, "Another")}
